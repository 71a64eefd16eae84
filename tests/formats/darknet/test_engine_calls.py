"""Calls of the Darknet engine that it refuses, each with words that say what it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.formats.darknet.engine import Network

CFG = """[net]
channels=4
height=9
width=5
[convolutional]
filters=2
size=3
stride=1
activation=relu
name=first
[avgpool]
"""


@pytest.fixture
def net(tmp_path: Path) -> Network:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(CFG)
    return Network(cfg, batch=2)


def test_shapes_and_types(net: Network) -> None:
    for array, because in (
        (np.zeros((1, 4, 9, 6)), "it must be (N, C, H, W) with (4, 9, 5)"),
        (np.zeros((4, 9, 5)), "it must be (N, C, H, W) with (4, 9, 5)"),
        (np.zeros((3, 4, 9, 5)), "the network was loaded for a batch of 1 to 2"),
        (np.zeros((0, 4, 9, 5)), "the network was loaded for a batch of 1 to 2"),
        (np.zeros((9, 6, 4), np.uint8),
         "this network takes (H, W, C) = (9, 5, 4), and nothing is resized"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            net(array)
        assert caught.value.because == because
    with pytest.raises(UsageError, match="values must be floats"):
        net(np.zeros((1, 4, 9, 5), np.int64))


def test_taps(net: Network) -> None:
    for tap in ("second", 2, -1):
        with pytest.raises(UsageError, match="no layer"):
            net(np.zeros((1, 4, 9, 5)), taps=[tap])


def test_preprocessing_is_for_images(net: Network) -> None:
    with pytest.raises(UsageError, match="are for uint8 images"):
        net(np.zeros((1, 4, 9, 5)), mean=[0, 0, 0, 0])
    with pytest.raises(UsageError, match="std of channel 1 must be greater than 0, got 0"):
        net(np.zeros((9, 5, 4), np.uint8), std=[1, 0, 1, 1])
    with pytest.raises(UsageError, match="mean must hold one value for each of 4 channels"):
        net(np.zeros((9, 5, 4), np.uint8), mean=[0, 0, 0])


def test_inputs_of_one_layer(net: Network) -> None:
    with pytest.raises(UsageError, match=r"layer 1 reads the outputs of \[0\]"):
        net.forward_layer(1, {-1: np.zeros((1, 4, 9, 5))})


def test_closed(net: Network) -> None:
    net.close()
    net.close()
    with pytest.raises(UsageError, match="the network is closed"):
        net(np.zeros((1, 4, 9, 5)))


def test_batch_of_zero(tmp_path: Path, net: Network) -> None:
    with pytest.raises(UsageError, match="batch must be at least 1"):
        Network(tmp_path / "net.cfg", batch=0)
