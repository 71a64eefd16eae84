"""Weights files of another length or kind than the cfg asks for."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.engine import Network

CFG = "[net]\nchannels=4\nheight=9\nwidth=5\n[convolutional]\nfilters=2\nsize=3\nactivation=relu\n"
COUNT = 2 + 2 * 4 * 9  # values that CFG reads


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short: expected 316 bytes (a header of 20 and 74 values), found 0"),
        (struct.pack("<iiiq", 0, 2, 0, 0),
         "too short: expected 316 bytes (a header of 20 and 74 values), found 20"),
        (struct.pack("<iiii", 0, 1, 0, 0) + bytes(4 * COUNT - 1),
         "too short: expected 312 bytes (a header of 16 and 74 values), found 311"),
        (struct.pack("<iiiq", 0, 2, 0, 0) + bytes(4 * COUNT + 4),
         "too long: expected 316 bytes (a header of 20 and 74 values), found 320"),
    ],
)  # fmt: skip
def test_weights_of_another_length(tmp_path: Path, content: bytes, message: str) -> None:
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    cfg.write_text(CFG)
    weights.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        Network(cfg, weights)
    assert caught.value.because == "the weights file is " + message


def test_weights_of_another_kind(tmp_path: Path) -> None:
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    cfg.write_text(CFG)
    weights.write_bytes(b"\xff" * 316)
    with pytest.raises(FileFormatError) as caught:
        Network(cfg, weights)
    assert caught.value.because == "no Darknet weights: the version reads -1.-1"


def test_layers_that_load_nothing_need_no_values(tmp_path: Path) -> None:
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    cfg.write_text(CFG + "dontload=1\n")
    weights.write_bytes(struct.pack("<iiiq", 0, 2, 0, 0))
    Network(cfg, weights).close()
    cfg.write_text(CFG + "batch_normalize=1\ndontloadscales=1\n")
    weights.write_bytes(struct.pack("<iiiq", 0, 2, 0, 0) + bytes(4 * COUNT))
    Network(cfg, weights).close()
