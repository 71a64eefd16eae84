"""Protobuf's wire format, as far as model files need it: a bounds-checked walker and a few encoders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mgn_convert.graph.types import Array

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(Exception):
    """Bytes that break the wire format; callers turn it into a FileFormatError."""

    def __init__(self, offset: int, rule: str) -> None:
        super().__init__(rule)
        self.offset, self.rule = offset, rule


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its value's place in the data, or for a varint the value.

    count: how many times a fixed-size field repeats from here on (see `packed_run` of `fields`).
    """

    number: int
    kind: int
    start: int
    stop: int
    value: int = 0
    count: int = 1

    def span(self) -> tuple[int, int]:
        """Where a message's bytes are."""
        if self.kind != _BYTES:
            raise WireError(self.start, f"field {self.number} is a message and has wire type 2")
        return self.start, self.stop

    def text(self, data: Any) -> str:
        """A string's characters."""
        start, stop = self.span()
        try:
            return bytes(data[start:stop]).decode("utf8")
        except UnicodeDecodeError:
            raise WireError(start, f"field {self.number} is a string in UTF-8") from None

    def integer(self) -> int:
        """A varint's value, as int64."""
        if self.kind != _VARINT:
            raise WireError(self.start, f"field {self.number} is a whole number and has wire type 0")
        return self.value - (1 << 64) if self.value >> 63 else self.value

    def integers(self, data: Any) -> Iterator[int]:
        """Whole numbers, packed or one."""
        if self.kind != _BYTES:
            yield self.integer()
            return
        position = self.start
        while position < self.stop:
            value, position = _read_varint(data, position, self.stop)
            yield value - (1 << 64) if value >> 63 else value

    def array(self, data: Any, dtype: np.dtype[Any]) -> Array:
        """Floating-point numbers, packed or not, as a view over `data`."""
        if self.kind == _BYTES:
            if (self.stop - self.start) % dtype.itemsize:
                rule = f"packed field {self.number} is a multiple of {dtype.itemsize} bytes"
                raise WireError(self.start, rule)
            count = (self.stop - self.start) // dtype.itemsize
            return np.frombuffer(data, dtype, count, self.start)
        if self.kind != (_FIXED32 if dtype.itemsize == 4 else _FIXED64):
            raise WireError(self.start, f"field {self.number} holds numbers of {dtype.itemsize} bytes")
        if self.count == 1:
            return np.frombuffer(data, dtype, 1, self.start)
        return _tagged(data, self.start - 1, self.count, dtype.itemsize)["value"].view(dtype)


def fields(data: Any, start: int, stop: int, *, packed_run: tuple[int, ...] = ()) -> Iterator[Field]:
    """Every field of the message at data[start:stop].

    packed_run: numbers of repeated fixed-size fields whose unpacked values come as one Field while they
    follow each other. Raises WireError with the offset of the first byte that breaks the format.
    """
    position = start
    while position < stop:
        begin = position
        tag, position = _read_varint(data, position, stop)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise WireError(begin, "a field number is between 1 and 2^29 - 1")
        if kind == _VARINT:
            value, after = _read_varint(data, position, stop)
            yield Field(number, kind, position, after, value)
        elif kind == _BYTES:
            size, position = _read_varint(data, position, stop)
            after = position + size
            if after > stop:
                raise WireError(begin, f"field {number} needs {size} bytes, {stop - position} are left")
            yield Field(number, kind, position, after)
        elif kind in (_FIXED32, _FIXED64):
            width = 4 if kind == _FIXED32 else 8
            if position + width > stop:
                raise WireError(begin, f"field {number} needs {width} bytes, {stop - position} are left")
            repeats = number in packed_run and position == begin + 1
            count = _run(data, begin, stop, width) if repeats else 1
            after = position + width + (count - 1) * (1 + width)
            yield Field(number, kind, position, after, count=count)
        else:
            raise WireError(begin, f"wire type {kind} does not occur in such files")
        position = after


def _read_varint(data: Any, position: int, stop: int) -> tuple[int, int]:
    value, start = 0, position
    for shift in range(0, 70, 7):
        if position >= stop:
            raise WireError(start, "a number ends before the message does")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise WireError(start, "a number has at most 10 bytes")


def _tagged(data: Any, start: int, count: int, width: int) -> Array:
    record = np.dtype([("tag", "u1"), ("value", f"<u{width}")])
    return np.frombuffer(data, record, count, start)


def _run(data: Any, begin: int, stop: int, width: int) -> int:
    """How many times the one-byte tag at `begin` and its value repeat without a gap."""
    tags = _tagged(data, begin, (stop - begin) // (1 + width), width)["tag"]
    other = np.flatnonzero(tags != tags[0])
    return int(other[0]) if other.size else int(tags.size)


def varint(value: int) -> bytes:
    """A whole number, not negative, as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def prefix(number: int, size: int) -> bytes:
    """Tag and length of a field of `size` bytes."""
    return varint(number << 3 | _BYTES) + varint(size)


def framed(number: int, size: int) -> int:
    """Bytes that a field of `size` bytes takes with its tag and length."""
    return len(prefix(number, size)) + size


def text(number: int, value: str) -> bytes:
    """A string field."""
    encoded = value.encode("utf8")
    return prefix(number, len(encoded)) + encoded
