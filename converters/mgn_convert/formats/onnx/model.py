"""An ONNX file, loaded and checked: nodes in execution order, weights as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper

from mgn_convert.errors import FileFormatError, UnsupportedError
from mgn_convert.graph import Array

DEFAULT_DOMAINS = ("", "ai.onnx")
OLDEST_OPSET = 11
_FLOATS = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}


@dataclass(frozen=True)
class Entry:
    """An input of the network. shape: None where a size is open; None altogether if the file has none."""

    name: str
    dtype: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, eq=False)
class Model:
    """The parts of a file that a reader needs. `nodes` are in execution order.

    path: of the file, which external weights lie beside.
    """

    path: Path
    name: str
    opset: int
    nodes: tuple[onnx.NodeProto, ...]
    constants: Mapping[str, Array]
    inputs: tuple[Entry, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]

    @property
    def source(self) -> str:
        """What messages call the file."""
        return self.path.name


def load(path: Path) -> Model:
    """The model of a file and of the file that holds its weights, if they are outside.

    Raises FileFormatError where it is damaged, UnsupportedError for an operator set outside 11 to the newest
    that the onnx package knows.
    """
    proto, source = _parse(path), path.name
    opset = _opset(proto, source)
    graph = proto.graph
    if graph.sparse_initializer:
        raise UnsupportedError(
            f"{source} cannot be read",
            because="it has sparse weights",
            got=graph.sparse_initializer[0].values.name,
            remedy="a model with dense weights",
        )
    constants = {t.name: array_of(t, path) for t in graph.initializer}
    entries = tuple(_entry(info) for info in graph.input if info.name not in constants)
    nodes = _sorted(graph.node, [*constants, *(entry.name for entry in entries)], source)
    outputs = tuple(info.name for info in graph.output)
    made = {*constants, *(e.name for e in entries), *(name for node in nodes for name in node.output)}
    for name in outputs:
        if name not in made:
            raise _damaged(source, f"nobody makes its output {name!r}")
    if not outputs:
        raise _damaged(source, "it has no output")
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    return Model(path, graph.name or path.stem, opset, nodes, constants, entries, outputs, metadata)


def array_of(tensor: onnx.TensorProto, path: Path) -> Array:
    """The numbers of a tensor of the file `path`; floating point ones as float32.

    Raises FileFormatError when they do not fit its shape, or lie outside in a file that does not hold them.
    """
    where = f"{path.name}, the tensor {tensor.name!r}"
    if any(n < 0 for n in tensor.dims):
        raise _damaged(where, "a size is negative", str(list(tensor.dims)))
    if external_data_helper.uses_external_data(tensor):
        tensor = _fetched(tensor, path, where)
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # whatever the package stumbles over in a damaged tensor
        raise _damaged(where, "its numbers do not fit its type and shape", str(error)) from error
    if array.shape != tuple(tensor.dims):
        raise _damaged(where, "its numbers do not fit its shape", f"{array.shape}, not {tuple(tensor.dims)}")
    return array.astype(np.float32) if tensor.data_type in _FLOATS else array


def _fetched(tensor: onnx.TensorProto, path: Path, where: str) -> onnx.TensorProto:
    """A copy of `tensor` with the bytes that lie in another file."""
    try:
        info = external_data_helper.ExternalDataInfo(tensor)
        offset, length = int(info.offset or 0), int(info.length or 0)
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(where, "its place in another file is no place", str(error)) from None
    folder = path.parent.resolve()
    data = (folder / info.location).resolve() if "\0" not in info.location else folder
    if not info.location or not data.is_relative_to(folder) or data == folder:
        raise _damaged(where, "external data lies in the folder of the file", repr(info.location))
    if not data.is_file():
        raise FileFormatError(
            f"there is no {path.parent / info.location}",
            at=where,
            because=f"the weights of {path.name} lie outside it",
            remedy="put the file of the weights back beside the model",
        )
    size = data.stat().st_size
    length = length or _byte_count(tensor)
    if offset < 0 or length < 0 or offset + length > size:
        raise _damaged(where, f"{info.location} ends before it", f"{offset} + {length} of {size} bytes")
    copy = onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims, name=tensor.name)
    with data.open("rb") as file:
        file.seek(offset)
        copy.raw_data = file.read(length)
    return copy


def _byte_count(tensor: onnx.TensorProto) -> int:
    try:
        item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError, ValueError):
        return 0
    return math.prod(tensor.dims) * int(item)


def _parse(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise FileFormatError(f"there is no {path}", remedy="the name of an .onnx file")
    try:
        proto = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError, TypeError) as error:
        raise FileFormatError(
            f"{path.name} is not an ONNX file",
            because="it is no protobuf message of a model, or cut short",
            got=str(error).splitlines()[0] if str(error) else "",
            remedy="export or copy it once more",
        ) from None
    if not proto.graph.node:
        raise FileFormatError(
            f"{path.name} is not an ONNX file",
            because="a model has a graph with nodes",
            remedy="export or copy it once more",
        )
    return proto


def _opset(proto: onnx.ModelProto, source: str) -> int:
    newest = onnx.defs.onnx_opset_version()
    versions = [each.version for each in proto.opset_import if each.domain in DEFAULT_DOMAINS]
    if len(versions) == 1 and OLDEST_OPSET <= versions[0] <= newest:
        return versions[0]
    raise UnsupportedError(
        f"{source} cannot be read",
        because=f"only operator sets {OLDEST_OPSET} to {newest} are known",
        got=f"opset {', '.join(map(str, versions))}" if versions else "no opset of ONNX itself",
        remedy="export it with opset 17, or convert it with onnx.version_converter",
    )


def _entry(info: onnx.ValueInfoProto) -> Entry:
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        return Entry(info.name, kind.elem_type, None)
    sizes = tuple(d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim)
    return Entry(info.name, kind.elem_type, sizes)


def _sorted(nodes: Sequence[onnx.NodeProto], known: Iterable[str], source: str) -> tuple[onnx.NodeProto, ...]:
    """The nodes, each behind those that make its inputs; the order of the file where it is one already."""
    makers: dict[str, int] = {}
    outside = set(known)
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in makers or name in outside:
                raise _damaged(source, f"two make the value {name!r}", title(node))
            makers[name] = index
    for node in nodes:
        for name in filter(None, node.input):
            if name not in makers and name not in outside:
                raise _damaged(source, f"nobody makes the value {name!r}", f"{title(node)} reads it")
    waiting = [{makers[name] for name in node.input if name in makers} for node in nodes]
    readers: dict[int, list[int]] = {}
    for index, needed in enumerate(waiting):
        for maker in needed:
            readers.setdefault(maker, []).append(index)
    if all(maker < index for index, needed in enumerate(waiting) for maker in needed):
        return tuple(nodes)
    ready = [index for index, needed in enumerate(waiting) if not needed]
    order = []
    for index in ready:
        order.append(index)
        for reader in readers.get(index, ()):
            waiting[reader].discard(index)
            if not waiting[reader]:
                ready.append(reader)
    if len(order) < len(nodes):
        stuck = next(node for index, node in enumerate(nodes) if waiting[index])
        raise _damaged(source, "its nodes form a circle", f"{title(stuck)} needs its own result")
    return tuple(nodes[index] for index in order)


def title(node: onnx.NodeProto) -> str:
    """What messages call a node: its type, and its name or that of its first result."""
    name = node.name or next(filter(None, node.output), "")
    return f'{node.op_type or "(no type)"} "{name}"'


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attribute name -> Python value; texts as str."""
    found = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    return {k: v.decode("utf8", "replace") if isinstance(v, bytes) else v for k, v in found.items()}


def _damaged(where: str, rule: str, got: str = "") -> FileFormatError:
    return FileFormatError(f"{where} cannot be read", because=rule, got=got, remedy="export it once more")
