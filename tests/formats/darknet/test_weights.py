"""The numbers of a network: headers, lengths, and that nothing is copied or changed."""

import struct

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.weights import HEADER, WeightsFile, write_weights

SECTION = Section("convolutional", "x.cfg", 7)


@pytest.fixture
def weights(tmp_path):
    def write(content: bytes) -> WeightsFile:
        path = tmp_path / "x.weights"
        path.write_bytes(content)
        return WeightsFile(path)

    return write


HEADERS = {
    "ours": (HEADER, 20),
    "0.1, as converters of 2018 wrote": (struct.pack("<iiii", 0, 1, 0, 0), 16),
    "0.2": (struct.pack("<iiiq", 0, 2, 5, 32013312), 20),
    "1.0": (struct.pack("<iiiq", 1, 0, 0, 0), 20),
    "transposed": (struct.pack("<iiii", 0, 1001, 0, 0), 16),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name, weights):
    header, size = HEADERS[name]
    assert len(header) == size
    file = weights(header + struct.pack("<3f", 1, 2, 3))
    assert file.take((3,), SECTION, "biases").tolist() == [1, 2, 3]
    file.finish()
    assert file.transposed == (name == "transposed")


def test_numbers_are_views_of_the_file(weights):
    file = weights(HEADER + struct.pack("<6f", *range(6)))
    first, second = file.take((2, 1), SECTION, "biases"), file.take((2, 2), SECTION, "weights")
    assert second.tolist() == [[2, 3], [4, 5]]
    assert isinstance(first.base, np.memmap | np.ndarray)
    assert np.shares_memory(first, file._floats)
    assert not second.flags.writeable


def test_a_short_file_names_the_section_and_both_sizes(weights):
    file = weights(HEADER + bytes(4 * 5))
    file.take((2,), Section("convolutional", "x.cfg", 3), "biases")
    assert not file.take((4,), SECTION, "weights").any()
    file.take((10,), Section("connected", "x.cfg", 20), "biases")
    with pytest.raises(FileFormatError) as caught:
        file.finish()
    assert str(caught.value) == "\n".join(
        [
            f"{file.path} is too short for its cfg",
            "  at       it ends at x.cfg:7 [convolutional], in its weights",
            "  because  nothing but its length shows whether weights and cfg belong together",
            "  got      40 bytes, expected 84 (-44)",
            "  try      the .weights file that was written with this cfg, downloaded to its end",
        ]
    )


@pytest.mark.parametrize("surplus", [1, 4])
def test_a_long_file(weights, surplus):
    file = weights(HEADER + bytes(8 + surplus))
    file.take((2,), SECTION, "biases")
    with pytest.raises(FileFormatError) as caught:
        file.finish()
    assert caught.value.what.endswith("is too long for its cfg")
    assert caught.value.got == f"{28 + surplus} bytes, expected 28 (+{surplus})"


@pytest.mark.parametrize("size", [0, 11, 12, 19])
def test_a_file_without_a_whole_header(weights, size):
    with pytest.raises(FileFormatError, match="too short for a Darknet weights file"):
        weights(HEADER[:size])


def test_files_that_are_something_else(weights, tmp_path):
    with pytest.raises(FileFormatError, match="not a Darknet weights file"):
        weights(struct.pack("<3f", -1, -1, 0) + bytes(100))
    with pytest.raises(FileFormatError, match="cannot read"):
        WeightsFile(tmp_path / "absent.weights")
    with pytest.raises(FileFormatError, match="more weights than any file holds"):
        weights(HEADER).take((2**20, 2**20, 4), SECTION, "weights")


def test_writing_keeps_every_bit(tmp_path):
    path = tmp_path / "x.weights"
    quiet = np.array([0x7FC00001, 0xFFC12345, 0x00000001, 0x80000000], "<u4").view("<f4")
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_weights(
        path,
        [quiet, grid.T, grid.astype(np.float64)[::2], np.float32(5) * np.ones(()), np.empty(0, np.float32)],
    )
    content = path.read_bytes()
    assert content[:20] == struct.pack("<iiiq", 0, 2, 0, 0)
    assert content[20:36] == quiet.tobytes()
    expected = [*grid.T.ravel(), *grid[::2].ravel(), 5]
    assert np.frombuffer(content[36:], "<f4").tolist() == expected


def test_large_strided_arrays_are_written_in_blocks(tmp_path):
    path = tmp_path / "x.weights"
    spread = np.broadcast_to(np.float32(1.5), (700, 3000))
    write_weights(path, [spread])
    assert path.stat().st_size == 20 + spread.size * 4
    assert (np.fromfile(path, "<f4", offset=20) == 1.5).all()
