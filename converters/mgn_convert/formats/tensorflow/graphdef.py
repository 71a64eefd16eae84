"""GraphDef: nodes as messages of a private pool, weights streamed between them as they lie in memory.

Layout: GraphDef { node = 1, versions = 4 } > NodeDef { name, op, input, attr } > AttrValue { tensor = 8 } >
TensorProto { dtype, tensor_shape, tensor_content = 4 }. The content is little-endian values in C order, and
stands last in every message around it, so that its frame can be written before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any

import numpy as np

from mgn_convert.errors import UnsupportedError
from mgn_convert.graph.types import Array
from mgn_convert.protobuf import wire
from mgn_convert.protobuf.schema import message_class

LARGEST = 2**31 - 1
"""Bytes that protobuf, and so TensorFlow, reads in one message."""

PRODUCER = 440
"""The version of TensorFlow's graphs that these ops and attributes belong to."""


class Type(IntEnum):
    """TensorFlow's DataType."""

    FLOAT = 1
    DOUBLE = 2
    INT32 = 3
    UINT8 = 4
    BOOL = 10


_NUMPY: Mapping[Type, np.dtype[Any]] = {
    Type.FLOAT: np.dtype("<f4"),
    Type.DOUBLE: np.dtype("<f8"),
    Type.INT32: np.dtype("<i4"),
}


@dataclass(frozen=True)
class Dims:
    """The value of an attribute that is a shape; -1 is any size."""

    sizes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Weight:
    """A constant too large for a message: `array` with its axes in `order`, as float32."""

    name: str
    array: Array
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[axis] for axis in self.order)

    def content(self) -> Array:
        """The values as they stand in the file."""
        return np.ascontiguousarray(self.array.transpose(self.order), _NUMPY[Type.FLOAT])


def node_def(name: str, op: str, inputs: Sequence[str] = (), **attrs: Any) -> Any:
    """A NodeDef. Attributes are in alphabetical order, as in TensorFlow's own files."""
    message = message_class("tensorflow.proto", "tensorflow.NodeDef")(name=name, op=op, input=inputs)
    for key in sorted(attrs):
        entry = message.attr.add(key=key)
        _fill(entry.value, attrs[key])
    return message


def constant(name: str, array: Array, kind: Type) -> Any:
    """A Const of few values."""
    content = np.ascontiguousarray(array, _NUMPY[kind])
    message = node_def(name, "Const", dtype=kind)
    tensor = message.attr.add(key="value").value.tensor
    tensor.dtype = kind
    tensor.tensor_shape.SetInParent()
    for size in np.shape(array):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = content.tobytes()
    return message


def _fill(value: Any, content: Any) -> None:
    if isinstance(content, Type):
        value.type = int(content)
    elif isinstance(content, bool):
        value.b = content
    elif isinstance(content, int):
        value.i = content
    elif isinstance(content, float):
        value.f = content
    elif isinstance(content, str):
        value.s = content.encode("ascii")
    elif isinstance(content, Dims):
        value.shape.SetInParent()
        for size in content.sizes:
            value.shape.dim.add(size=size)
    else:
        value.list.SetInParent()
        value.list.i.extend(int(each) for each in content)


def write_graphdef(file: IO[bytes], items: Sequence[Any]) -> None:
    """Stream messages and weights into `file` as one GraphDef; a weight's axes are moved one at a time.

    Raises UnsupportedError, before the first byte, when the file would exceed 2^31 - 1 bytes.
    """
    heads = [_weight_head(item) if isinstance(item, Weight) else item.SerializeToString() for item in items]
    sizes = [
        len(head) + (_size(item) if isinstance(item, Weight) else 0)
        for head, item in zip(heads, items, strict=True)
    ]
    versions = message_class("tensorflow.proto", "tensorflow.VersionDef")(producer=PRODUCER)
    tail = _framed(4, versions.SerializeToString())
    total = sum(wire.framed(1, size) for size in sizes) + len(tail)
    if total > LARGEST:
        raise UnsupportedError(
            "the network is too large for one frozen graph",
            because=f"protobuf, and so TensorFlow, reads at most {LARGEST} bytes",
            got=f"{total} bytes",
            remedy="--format saved-model, which keeps its weights in files of their own",
        )
    for head, size, item in zip(heads, sizes, items, strict=True):
        file.write(wire.prefix(1, size) + head)
        if isinstance(item, Weight) and item.array.size:
            file.write(item.content().reshape(-1).view(np.uint8).data)
    file.write(tail)


def skeleton(items: Sequence[Any]) -> bytes:
    """The GraphDef with a Placeholder where each weight would be."""
    message = message_class("tensorflow.proto", "tensorflow.GraphDef")()
    message.versions.producer = PRODUCER
    for item in items:
        if isinstance(item, Weight):
            attrs: Mapping[str, Any] = {"dtype": Type.FLOAT, "shape": Dims(item.shape)}
            item = node_def(item.name, "Placeholder", **attrs)
        message.node.append(item)
    return bytes(message.SerializeToString())


def _framed(number: int, content: bytes) -> bytes:
    return wire.prefix(number, len(content)) + content


def _size(weight: Weight) -> int:
    return 4 * math.prod(weight.shape)


def _weight_head(weight: Weight) -> bytes:
    """The NodeDef of a weight up to its content."""
    whole = constant(weight.name, np.zeros(0), Type.FLOAT)
    entry = whole.attr.pop()
    shape = entry.value.tensor.tensor_shape
    del shape.dim[:]
    for size in weight.shape:
        shape.dim.add(size=size)
    size = _size(weight)
    tensor = wire.varint(1 << 3) + wire.varint(Type.FLOAT) + _framed(2, shape.SerializeToString())
    tensor += wire.prefix(4, size)
    value = wire.prefix(8, len(tensor) + size) + tensor
    attr = wire.text(1, entry.key) + wire.prefix(2, len(value) + size) + value
    return bytes(whole.SerializeToString()) + wire.prefix(5, len(attr) + size) + attr
