"""The binary half of a Darknet network: a header, then float32 numbers in layer order, little endian.

    int32 major, minor, revision
    int64 seen      when 10 * major + minor >= 2, and both are below 1000; otherwise int32
    float32 ...     to the end of the file; nothing tells where a layer starts

A major or minor above 1000 also means that [connected] matrices are stored (in, out) instead of (out, in).
Upstream never compares the length with what the cfg asks for: a short file leaves layers random.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.graph.types import Array, Shape

HEADER = struct.pack("<iiiq", 0, 2, 0, 0)
"""What we write: version 0.2.0, no image seen."""
LATEST = 9999
"""The largest number in a version that the engine takes."""
FLOAT = np.dtype("<f4")
_LARGEST = 2**42
_BLOCK = 1 << 20


class WeightsFile:
    """Hands out the numbers of a .weights file in order, as read-only views of the mapped file.

    A file that is too short gives zeros from there on; `finish` then says what was missing, for only the last
    section tells how long the file should have been.
    """

    def __init__(self, path: Path) -> None:
        """Map the file and read its header. Raises FileFormatError."""
        self.path = path
        try:
            self.size = path.stat().st_size
            with path.open("rb") as file:
                start = file.read(12)
            if len(start) < 12:
                raise self._short_header()
            major, minor, _ = struct.unpack("<iii", start)
            wide = 10 * major + minor >= 2 and major < 1000 and minor < 1000
            self.header = 20 if wide else 16
            if not (0 <= major <= LATEST and 0 <= minor <= LATEST):
                raise FileFormatError(
                    f"{path} is not a Darknet weights file",
                    because="it starts with a version of three small numbers",
                    got=f"{major}, {minor}",
                    remedy="the .weights file that belongs to the cfg",
                )
            if self.size < self.header:
                raise self._short_header()
            self.transposed = major > 1000 or minor > 1000
            self._floats = self._map()
        except OSError as error:
            raise FileFormatError(f"cannot read {path}", because=error.strerror or str(error)) from None
        self._position = 0
        self._ran_out = ""

    @property
    def ran_out(self) -> bool:
        """Whether a section asked for more than the file holds."""
        return bool(self._ran_out)

    def take(self, shape: Shape, section: Section, what: str) -> Array:
        """The next numbers, as `shape`. `what` names them in messages, such as "biases"."""
        count = 1
        for extent in shape:
            count *= extent
        start, self._position = self._position, self._position + count
        if self._position * 4 > _LARGEST:
            raise section.error(
                "the section asks for more weights than any file holds",
                because=f"{what} of shape {list(shape)}",
                remedy="correct the sizes",
            )
        if self._position <= self._floats.size:
            return self._floats[start : self._position].reshape(shape)
        if not self._ran_out:
            self._ran_out = f"{section.file}:{section.line} [{section.type}], in its {what}"
        return np.broadcast_to(FLOAT.type(0), shape)

    def finish(self) -> None:
        """Raise FileFormatError unless every byte of the file has been taken."""
        wanted = self.header + 4 * self._position
        if wanted == self.size:
            return
        difference = self.size - wanted
        raise FileFormatError(
            f"{self.path} is too {'long' if difference > 0 else 'short'} for its cfg",
            at=self._ran_out and f"it ends at {self._ran_out}",
            because="nothing but its length shows whether weights and cfg belong together",
            got=f"{self.size} bytes, expected {wanted} ({difference:+d})",
            remedy="the .weights file that was written with this cfg, downloaded to its end",
        )

    def _map(self) -> Array:
        count = (self.size - self.header) // 4
        if not count:
            return np.empty(0, FLOAT)
        return np.memmap(self.path, FLOAT, "r", self.header, (count,))

    def _short_header(self) -> FileFormatError:
        return FileFormatError(
            f"{self.path} is too short for a Darknet weights file",
            because="the header alone has 16 or 20 bytes",
            got=f"{self.size} bytes",
            remedy="the .weights file that belongs to the cfg",
        )


def write_weights(path: Path, arrays: Iterable[Array]) -> None:
    """Write the header and `arrays` in order, as float32, without copying what already is float32."""
    with path.open("wb") as file:
        file.write(HEADER)
        for array in arrays:
            _write_array(file, array)


def _write_array(file: BinaryIO, array: Array) -> None:
    if array.dtype == FLOAT and array.flags.c_contiguous:
        if array.size:
            file.write(array.reshape(-1).view(np.uint8).data)
        return
    rows = array.reshape(1) if array.ndim == 0 else array
    step = max(1, _BLOCK // max(1, rows[:1].size))
    for start in range(0, rows.shape[0], step):
        file.write(np.ascontiguousarray(rows[start : start + step], FLOAT).tobytes())
