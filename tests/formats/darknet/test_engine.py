"""The Darknet engine as a whole: files of the older dialect, images, taps, single layers, threads."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mgn_convert.formats.darknet.engine import Layer, Network

# The tail of MGN in the older dialect: pooled stripes, cut by slice_num and slice_pos, reduced and joined.
TAIL = """[net]
batch=1
channels=6
height=24
width=8

[maxpool]
size_h=12
size_w=8
stride_h=12
stride_w=8
padding=0

[route]
layers=-1
[slice]
slice_axis=2
slice_num=1
slice_pos=0
[convolutional]
batch_normalize=1
filters=5
size=1
stride=1
pad=0
activation=relu

[route]
layers=0
[slice]
slice_axis=2
slice_num=1
slice_pos=1
[convolutional]
batch_normalize=1
filters=5
size=1
stride=1
pad=0
activation=relu
name=lower

[route]
layers=-4,-1
"""
TAIL_VALUES = 2 * (4 * 5 + 5 * 6)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def values(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.uniform(0.1, 1, TAIL_VALUES).astype(np.float32)


@pytest.fixture
def images(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.standard_normal((3, 6, 24, 8)).astype(np.float32)


def write(folder: Path, values: npt.NDArray[np.float32], header: bytes, cfg: str = TAIL) -> tuple[Path, Path]:
    (folder / "net.cfg").write_bytes(cfg.encode())
    (folder / "net.weights").write_bytes(header + values.tobytes())
    return folder / "net.cfg", folder / "net.weights"


HEADERS = {
    "16 bytes": struct.pack("<iiii", 0, 1, 0, 0),
    "20 bytes": struct.pack("<iiiq", 0, 2, 0, 1 << 40),
    "version 1": struct.pack("<iiiq", 1, 0, 0, 0),
}


def reduced(images: npt.NDArray[np.float32], values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The output of TAIL."""
    parts = []
    for part, of_part in enumerate(np.split(values.astype(np.float64), 2)):
        biases, scales, mean, variance = of_part[:20].reshape(4, 5)
        pooled = images[:, :, 12 * part : 12 * part + 12].max((2, 3)).astype(np.float64)
        plain = pooled @ of_part[20:].reshape(5, 6).T
        parts.append(np.maximum((plain - mean) / (np.sqrt(variance) + 1e-6) * scales + biases, 0))
    return np.concatenate(parts, 1).reshape(len(images), 10, 1, 1)


@pytest.mark.parametrize("header", HEADERS)
def test_older_dialect_and_headers(
    tmp_path: Path, images: npt.NDArray[np.float32], values: npt.NDArray[np.float32], header: str
) -> None:
    with Network(*write(tmp_path, values, HEADERS[header]), batch=3) as net:
        assert net.input_shape == (6, 24, 8)
        kinds = ["maxpool", "route", "slice", "convolutional", "route", "slice", "convolutional", "route"]
        assert [layer.type for layer in net.layers] == kinds
        assert net.layers[6] == Layer(6, "convolutional", "lower", (5, 1, 1))
        assert [net.sources(index) for index in range(8)] == [
            (-1,),
            (0,),
            (1,),
            (2,),
            (0,),
            (4,),
            (5,),
            (3, 6),
        ]
        got = net(images)
    assert list(got) == ["7"]
    np.testing.assert_allclose(got["7"], reduced(images, values), rtol=1e-5, atol=1e-6)


def test_transposed_connected_weights_of_old_files(tmp_path: Path, rng: np.random.Generator) -> None:
    weights, x = rng.standard_normal((3, 4)).astype(np.float32), rng.standard_normal((1, 4, 1, 1))
    cfg = "[net]\ninputs=4\n[connected]\noutput=3\nactivation=linear\n"
    body = np.concatenate([np.zeros(3, np.float32), weights.T.ravel()])
    net = Network(*write(tmp_path, body, struct.pack("<iiii", 0, 1001, 0, 0), cfg))
    np.testing.assert_allclose(net(x)["0"].ravel(), weights @ x.ravel(), rtol=1e-5)


def test_cfg_with_windows_line_ends_tabs_and_mark(
    tmp_path: Path, images: npt.NDArray[np.float32], values: npt.NDArray[np.float32]
) -> None:
    plain = Network(*write(tmp_path, values, HEADERS["16 bytes"]), batch=3)(images)
    text = "\ufeff" + TAIL.replace("\n", " \r\n").replace("=", "\t= ")
    other = Network(*write(tmp_path, values, HEADERS["16 bytes"], text), batch=3)(images)
    np.testing.assert_array_equal(other["7"], plain["7"])


def test_training_keys_are_ignored(tmp_path: Path, values: npt.NDArray[np.float32]) -> None:
    training = (
        "subdivisions=4\npolicy=steps\nsteps=1,2\nscales=.1\nadam=1\nlearning_rate=oops\ntime_steps=9\n"
    )
    cfg = TAIL.replace("batch=1\n", "batch=64\n" + training)
    with Network(*write(tmp_path, values, HEADERS["16 bytes"], cfg)) as net:
        assert net(np.zeros((1, 6, 24, 8)))["7"].shape == (1, 10, 1, 1)


class TestRun:
    @pytest.fixture
    def net(self, tmp_path: Path, values: npt.NDArray[np.float32]) -> Network:
        return Network(*write(tmp_path, values, HEADERS["20 bytes"]), batch=3)

    def test_smaller_batches_and_other_floats(self, net: Network, images: npt.NDArray[np.float32]) -> None:
        whole = net(images)["7"]
        for count in (1, 3, 2):
            np.testing.assert_array_equal(net(images[:count])["7"], whole[:count])
        np.testing.assert_array_equal(net(images.astype(np.float64)[::-1])["7"], whole[::-1])
        np.testing.assert_array_equal(net(np.asfortranarray(images))["7"], whole)

    def test_taps_are_copies(self, net: Network, images: npt.NDArray[np.float32]) -> None:
        first = net(images, taps=["lower", 0, 7])
        assert list(first) == ["7", "lower", "0"]
        assert first["0"].shape == (3, 6, 2, 1)
        np.testing.assert_array_equal(first["lower"], first["7"][:, 5:])
        kept = first["0"].copy()
        net(images + 1)
        np.testing.assert_array_equal(first["0"], kept)

    def test_every_layer_alone_gives_what_it_gave_in_the_network(
        self, net: Network, images: npt.NDArray[np.float32]
    ) -> None:
        outputs = net(images, taps=range(8))
        by_index = {-1: images, **{layer.index: outputs[layer.key] for layer in net.layers}}
        for layer in net.layers:
            inputs = {source: by_index[source] for source in net.sources(layer.index)}
            alone = net.forward_layer(layer.index, inputs)
            np.testing.assert_array_equal(alone, by_index[layer.index])
        halved = net.forward_layer("lower", {5: by_index[5][:2] / 2})
        assert halved.shape == (2, 5, 1, 1)

    def test_threads_share_a_network(self, net: Network, images: npt.NDArray[np.float32]) -> None:
        want = [net(image[None])["7"] for image in images]
        wrong: list[int] = []

        def work(number: int) -> None:
            for _ in range(50):
                if not np.array_equal(net(images[number][None])["7"], want[number]):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestImages:
    MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    @pytest.fixture
    def net(self, tmp_path: Path) -> Network:
        cfg = "[net]\nchannels=3\nheight=7\nwidth=5\n[activation]\n"
        return Network(*write(tmp_path, np.zeros(0, np.float32), HEADERS["20 bytes"], cfg), batch=2)

    def test_uint8_equals_float(self, net: Network, rng: np.random.Generator) -> None:
        image = rng.integers(0, 256, (7, 5, 3), np.uint8)
        want = ((image / 255 - self.MEAN) / self.STD).transpose(2, 0, 1)[None]
        got = net(image, mean=self.MEAN, std=self.STD)["0"]
        np.testing.assert_array_equal(got, net(want)["0"])
        np.testing.assert_array_equal(net(image[..., ::-1], mean=self.MEAN, std=self.STD, bgr=True)["0"], got)
        np.testing.assert_array_equal(net(image)["0"], net(image.transpose(2, 0, 1)[None] / 255)["0"])
        np.testing.assert_array_equal(net(image, scale=1)["0"][0], image.transpose(2, 0, 1))

    def test_strides_and_batches(self, net: Network, rng: np.random.Generator) -> None:
        large = rng.integers(0, 256, (2, 20, 11, 4), np.uint8)
        view = large[:, 17:3:-2, 1:11:2, 1:]
        assert view.shape == (2, 7, 5, 3)
        got = net(view, scale=1)["0"]
        np.testing.assert_array_equal(got, view.transpose(0, 3, 1, 2))
        np.testing.assert_array_equal(net(view[1], scale=1)["0"], got[1:])
