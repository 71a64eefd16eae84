"""caffemodel: a NetParameter in protobuf's binary format, of which only names and blobs matter.

Layout: NetParameter { layer = 100 | layers = 2 } > { name, blobs } > BlobProto { data, shape }. A packed
`data` field is nothing but little-endian float32 values, so reading gives views over the mapped file and
writing streams each array as it lies in memory.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from mgn_convert.errors import FileFormatError, UnsupportedError
from mgn_convert.graph.types import Array
from mgn_convert.protobuf import wire

LARGEST = 2**31 - 1
"""Bytes that protobuf, and so every Caffe, reads in one message."""

_FLOAT32, _FLOAT64 = np.dtype("<f4"), np.dtype("<f8")


@dataclass(frozen=True, eq=False)
class Blob:
    """One weight array. `legacy`: its shape comes from num, channels, height and width."""

    array: Array
    legacy: bool = False


@dataclass(frozen=True)
class Weights:
    """The blobs of one layer, with what else a reader of the file wants to know about it."""

    name: str
    blobs: tuple[Array, ...]
    type: str = ""
    bottoms: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()


def read_caffemodel(path: Path) -> dict[str, tuple[Blob, ...]]:
    """Layer name -> its blobs, as read-only views over the mapped file; nothing is copied.

    Raises FileFormatError with the byte offset where the file ends early or is no caffemodel.
    """
    try:
        with path.open("rb") as file:
            empty = not file.seek(0, 2)
            data: Any = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} cannot be read", because=str(error)) from None
    return parse(data, str(path))


def parse(data: bytes | mmap.mmap, source: str = "caffemodel") -> dict[str, tuple[Blob, ...]]:
    """As `read_caffemodel`, for bytes that are already here; `source` is what errors call them."""
    found: dict[str, tuple[Blob, ...]] = {}
    try:
        for field in wire.fields(data, 0, len(data)):
            if field.number in (100, 2):
                name, blobs = _read_layer(data, field, v1=field.number == 2)
                if blobs or name not in found:
                    found[name] = blobs
    except wire.WireError as error:
        raise FileFormatError(
            f"{source} is not a whole caffemodel",
            at=f"{source}, byte {error.offset}",
            because=error.rule,
            got=f"a file of {len(data)} bytes",
            remedy="copy or download the file again, and check its size",
        ) from None
    return found


def _read_layer(data: Any, layer: wire.Field, *, v1: bool) -> tuple[str, tuple[Blob, ...]]:
    name, blobs = "", []
    start, stop = layer.span()
    for field in wire.fields(data, start, stop):
        if field.number == (4 if v1 else 1):
            name = field.text(data)
        elif field.number == (6 if v1 else 7):
            blobs.append(_read_blob(data, field))
    return name, tuple(blobs)


def _read_blob(data: Any, blob: wire.Field) -> Blob:
    legacy = [0, 0, 0, 0]
    shape: list[int] | None = None
    single: list[Array] = []
    double: list[Array] = []
    start, stop = blob.span()
    for field in wire.fields(data, start, stop, packed_run=(5, 8)):
        if 1 <= field.number <= 4:
            legacy[field.number - 1] = field.integer()
        elif field.number == 5:
            single.append(field.array(data, _FLOAT32))
        elif field.number == 8:
            double.append(field.array(data, _FLOAT64))
        elif field.number == 7:
            shape = [*(shape or []), *_read_shape(data, field)]
    pieces = double or single
    values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.zeros(0, _FLOAT32)])
    if double:
        values = values.astype(_FLOAT32)
    is_legacy = shape is None
    dims = legacy if shape is None else shape
    if is_legacy and not any(legacy):
        dims = [values.size]
    if len(dims) > 32 or any(n < 0 for n in dims) or math.prod(dims) != values.size:
        rule = f"the blob has {values.size} values, but its shape is {'x'.join(map(str, dims)) or 'empty'}"
        raise wire.WireError(start, rule)
    return Blob(values.reshape(dims), is_legacy)


def _read_shape(data: Any, shape: wire.Field) -> Iterator[int]:
    start, stop = shape.span()
    for field in wire.fields(data, start, stop):
        if field.number == 1:
            yield from field.integers(data)


def write_caffemodel(file: IO[bytes], name: str, layers: Sequence[Weights]) -> None:
    """Stream a caffemodel into `file`. Arrays go out as they lie in memory, converted only if not float32.

    Raises UnsupportedError, before the first byte, when the file would exceed 2^31 - 1 bytes.
    """
    heads = [_head(layer) for layer in layers]
    sizes = [
        len(head) + sum(wire.framed(7, _blob_size(a)) for a in layer.blobs)
        for head, layer in zip(heads, layers, strict=True)
    ]
    title = wire.text(1, name)
    total = len(title) + sum(wire.framed(100, size) for size in sizes)
    if total > LARGEST:
        raise UnsupportedError(
            "the network is too large for one caffemodel",
            because=f"protobuf, and so every Caffe, reads at most {LARGEST} bytes",
            got=f"{total} bytes",
            remedy="a smaller network: drop heads that the embedding does not need",
        )
    file.write(title)
    for layer, head, size in zip(layers, heads, sizes, strict=True):
        file.write(wire.prefix(100, size) + head)
        for array in layer.blobs:
            frame = _blob_frame(array)
            file.write(wire.prefix(7, len(frame) + 4 * array.size) + frame)
            if array.size:
                file.write(np.ascontiguousarray(array, _FLOAT32).reshape(-1).view(np.uint8).data)


def _head(layer: Weights) -> bytes:
    parts = [wire.text(1, layer.name), wire.text(2, layer.type) if layer.type else b""]
    parts += [wire.text(3, bottom) for bottom in layer.bottoms] + [wire.text(4, top) for top in layer.tops]
    return b"".join(parts)


def _blob_frame(array: Array) -> bytes:
    """A BlobProto up to the values of its last field, `data`. One number has no `shape`, as in Caffe."""
    head = wire.prefix(5, 4 * array.size)
    if not array.ndim:
        return head
    dims = b"".join(wire.varint(n) for n in array.shape)
    shape = wire.prefix(1, len(dims)) + dims
    return wire.prefix(7, len(shape)) + shape + head


def _blob_size(array: Array) -> int:
    return len(_blob_frame(array)) + 4 * array.size
