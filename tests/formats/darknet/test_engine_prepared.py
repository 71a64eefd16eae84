"""Networks prepared for inference against the plain engine: what is folded, fused, shared and kept."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.formats.darknet.engine import Network
from mgn_convert.formats.darknet.library import FLOATS, load_library

Floats = npt.NDArray[np.float32]
LIMIT = 2e-6
SHAPE = (5, 20, 14)
NET = "[net]\nchannels=5\nheight=20\nwidth=14\n"
NORM = "batch_normalize=1\n"


def conv(filters: int, size: int = 1, activation: str = "relu", more: str = NORM) -> str:
    return f"[convolutional]\nfilters={filters}\nsize={size}\npad=1\nactivation={activation}\n{more}"


def weights_of(cfg: Path) -> int:
    """How many values the engine wants: it says so when it gets none."""
    empty = cfg.with_suffix(".empty")
    empty.write_bytes(struct.pack("<iiiq", 0, 2, 0, 0))
    try:
        Network(cfg, empty, plain=True).close()
    except Exception as error:
        words = str(error)
        return int(words.split("header of 20 and ")[1].split()[0])
    return 0


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """files(sections): cfg and weights, all of these positive."""

    def write(sections: str) -> tuple[Path, Path]:
        cfg = tmp_path / "net.cfg"
        cfg.write_text(NET + sections)
        values = np.random.default_rng(3).uniform(0.2, 1, weights_of(cfg)).astype("<f4")
        (tmp_path / "net.weights").write_bytes(struct.pack("<iiiq", 0, 2, 0, 0) + values.tobytes())
        return cfg, tmp_path / "net.weights"

    return write


@pytest.fixture
def images() -> Floats:
    return np.random.default_rng(4).standard_normal((3, *SHAPE)).astype(np.float32)


def error_of(found: Floats, wanted: Floats) -> float:
    return float(np.abs(found - wanted).max() / max(1, np.abs(wanted).max()))


SHORTCUT = "[shortcut]\nfrom={}\nactivation={}\n"
NETWORKS = {
    "a block": conv(5) + conv(5, 3, "linear") + SHORTCUT.format(-2, "relu") + conv(7),
    "a block whose input is read again": conv(5)
    + conv(5, 3, "linear")
    + SHORTCUT.format(-2, "leaky")
    + "[route]\nlayers=0,-1\n"
    + conv(6, 3),
    "a longer block whose input is read again": conv(5)
    + conv(5)
    + conv(5, 3, "linear")
    + SHORTCUT.format(-3, "relu")
    + "[route]\nlayers=0,-1\n",
    "two blocks": conv(5) + (conv(6) + conv(5, 3, "linear") + SHORTCUT.format(-3, "relu")) * 2,
    "a block on the network's input": conv(5, 3, "linear")
    + conv(5, 3, "linear")
    + SHORTCUT.format(0, "relu"),
    "a convolution added to its input": conv(5)
    + conv(5, 3, "linear")
    + SHORTCUT.format(-2, "linear")
    + conv(3),
    "a sum of two convolutions": conv(6, 1, "linear")
    + "[route]\nlayers=-1\n[route]\nlayers=0\n"
    + conv(6, 3, "linear")
    + "[sum]\nfrom=0\nactivation=relu\n"
    + conv(4),
    "a sum that is no plain one": conv(5) + conv(5, 3, "linear") + "[sum]\nfrom=-2\nscale=0.5\n",
    "another activation behind a sum": conv(5) + conv(5, 3, "linear") + SHORTCUT.format(-2, "logistic"),
    "a convolution that two read": conv(5)
    + conv(5, 3, "linear")
    + SHORTCUT.format(-2, "relu")
    + "[route]\nlayers=1,2\n",
    "activations": conv(6, 3, "leaky") + conv(6, 1, "swish") + conv(6, 1, "elu", NORM + "alpha=0.5\n"),
    "slopes": conv(6, 3, "leaky", "slope=0.3\n") + conv(6, 3, "linear", ""),
    "wide": conv(64) + conv(96, 3) + conv(40) + conv(64, 3, "leaky") + conv(5),
    "a wide block": conv(64)
    + (conv(96) + conv(64, 3, "linear") + SHORTCUT.format(-3, "relu")) * 2
    + conv(64, 3, "linear", "")
    + SHORTCUT.format(-2, "leaky"),
    "wide strides": conv(32)
    + conv(64, 3, "relu", "stride=2\n")
    + conv(64, 2, "relu", "stride_h=1\nstride_w=1\ndilation_h=3\ndilation_w=2\n")
    + conv(30, 3, "linear", "padding_h=3\npadding_w=0\n"),
    "groups": conv(10, 3, "relu", NORM + "groups=5\n")
    + conv(20, 3, "relu", "groups=2\n")
    + conv(20, 1, "relu", "groups=20\n"),
    "strides": conv(6, 3, "relu", "stride=2\n")
    + conv(6, 2, "relu", "stride_h=1\nstride_w=2\ndilation_h=2\n"),
    "leftover cells": "[convolutional]\nfilters=4\nsize=3\nstride=3\nactivation=relu\n" + conv(3),
    "vectors": conv(6, 3)
    + "[connected]\noutput=9\nactivation=relu\nbatch_normalize=1\n[connected]\noutput=4\n",
    "kernels as large as the map": conv(6, 3)
    + "[convolutional]\nfilters=5\nsize_h=20\nsize_w=14\nactivation=leaky\n"
    + conv(5, 1, "linear")
    + SHORTCUT.format(-2, "relu"),
    "a vector back into a map": conv(6)
    + "[connected]\noutput=24\nactivation=leaky\n[reshape]\nc=6\nh=2\nw=2\n"
    + conv(3, 3),
    "layers that take C, H, W": conv(6, 3)
    + "[permute]\norder=h,c,w\n"
    + conv(4, 3)
    + "[reorg]\nstride=2\n"
    + conv(4),
    "dropout": conv(6) + "[dropout]\n" + conv(6, 3) + "[dropout]\n",
    "only routes": conv(6) + "[route]\nlayers=-1\n[route]\nlayers=-1\n",
    "nothing to convolve": "[maxpool]\nsize_h=3\nsize_w=2\n[upsample]\n",
}


@pytest.mark.parametrize("amx", [True, False], ids=["amx", "no amx"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_that_of_the_plain_engine(files, images: Floats, name: str, amx: bool) -> None:
    """With only the end kept, with every layer kept, with some named, and each layer alone."""
    paths = files(NETWORKS[name])
    with Network(*paths, batch=3, plain=True) as plain:
        wanted = plain(images, range(len(plain.layers)))
        last = plain.layers[-1].key
        with Network(*paths, batch=3, amx=amx) as net:
            assert error_of(net(images)[last], wanted[last]) <= LIMIT
            for key, found in net(images, range(0, len(net.layers), 2)).items():
                assert error_of(found, wanted[key]) <= LIMIT
        with Network(*paths, batch=3, keep_layers=True, amx=amx) as net:
            for key, found in net(images, range(len(net.layers))).items():
                assert error_of(found, wanted[key]) <= LIMIT
            for layer in net.layers:
                inputs = {s: images if s < 0 else wanted[str(s)] for s in net.sources(layer.index)}
                assert error_of(net.forward_layer(layer.index, inputs), wanted[layer.key]) <= LIMIT


def test_amx_is_left_out_when_told(files, images: Floats) -> None:
    """Its sums are rounded elsewhere than those of the library."""
    paths = files(NETWORKS["wide"])
    with Network(*paths, batch=3) as used, Network(*paths, batch=3, amx=False) as unused:
        (with_amx,), (without,) = used(images).values(), unused(images).values()
    has_amx = load_library().dk_convolutions().startswith(b"AMX")
    assert np.array_equal(with_amx, without) != has_amx


def test_an_image_gives_the_same_in_any_batch(files, images: Floats) -> None:
    with Network(*files(NETWORKS["a block"]), batch=3) as net:
        (together,) = net(images).values()
        for item in range(3):
            (alone,) = net(images[item : item + 1]).values()
            np.testing.assert_array_equal(alone[0], together[item])
        with pytest.raises(UsageError, match="too many images"):
            net(np.concatenate([images, images]))


@pytest.mark.parametrize("place", ["input", "weights", "variance"])
def test_nan_stays_nan(files, images: Floats, place: str) -> None:
    """relu, fused sums and pools hand it on."""
    cfg, weights = files(NETWORKS["a block"] + "[maxpool]\nsize=2\nstride=2\n")
    numbers = np.fromfile(weights, "<f4")
    if place == "input":
        images[1] = np.nan
    else:
        numbers[5 + (20 if place == "weights" else 15)] = np.nan  # of the first layer
    numbers.tofile(weights)
    with Network(cfg, weights, batch=3) as net, Network(cfg, weights, batch=3, plain=True) as plain:
        (found,), (wanted,) = net(images).values(), plain(images).values()
    assert np.isnan(wanted).any()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_batch_norm_that_cannot_be_folded(files, images: Floats, scale: float) -> None:
    cfg, weights = files(conv(4, 3, "linear"))
    numbers = np.fromfile(weights, "<f4")
    numbers[5 + 4 : 5 + 8] = scale  # behind the header and the biases
    numbers.tofile(weights)
    with Network(cfg, weights, batch=3) as net, Network(cfg, weights, batch=3, plain=True) as plain:
        (found,), (wanted,) = net(images).values(), plain(images).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_weights_that_are_not_loaded_are_zero(files, images: Floats) -> None:
    cfg, weights = files(conv(4, 3, more="dontload=1\n") + conv(4))
    with Network(cfg, weights, batch=3) as net, Network(cfg, weights, batch=3, plain=True) as plain:
        np.testing.assert_array_equal(net(images, [0])["0"], plain(images, [0])["0"])
    with Network(cfg, batch=3) as net:
        assert not net(images)["1"].any()


def test_an_output_that_was_not_kept(files) -> None:
    with Network(*files(NETWORKS["a block"])) as net:
        net(np.zeros((1, *SHAPE), np.float32))
        values = np.empty((1, *net.layers[1].shape), np.float32)
        engine, handle = load_library(), net._open()
        assert engine.dk_output(handle, 1, values.ctypes.data_as(FLOATS), values.size) == 5
        assert b"did not keep layer 1" in engine.dk_message(handle)


def test_networks_run_in_threads_of_their_own(files, images: Floats) -> None:
    paths = files(conv(32, 3) + conv(32, 3) * 6 + NETWORKS["a block"].replace("filters=5", "filters=32"))
    with Network(*paths, batch=3) as net:
        (wanted,) = net(images).values()

    def work(_: int) -> bool:
        with Network(*paths, batch=3, threads=2) as own:
            return all(np.array_equal(next(iter(own(images).values())), wanted) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_other_threads_go_on_while_it_computes(files) -> None:
    """The call gives the interpreter's lock away."""
    turns, over = 0, threading.Event()
    with Network(*files(conv(256, 3) + conv(256, 3) * 3)) as net:
        image = np.zeros((1, *SHAPE), np.float32)

        def work() -> None:
            for _ in range(50):
                net(image)
            over.set()

        worker = threading.Thread(target=work)
        worker.start()
        while not over.wait(1e-4):
            turns += 1
        worker.join()
    assert turns > 5


COUNT = """
import ctypes, os, sys
import numpy as np
from mgn_convert.formats.darknet.engine import Network
before = len(os.listdir("/proc/self/task"))
gomp = ctypes.CDLL("libgomp.so.1")
most = gomp.omp_get_max_threads()
with Network(*sys.argv[1:3], threads=int(sys.argv[3]) or None) as net:
    net(np.zeros((1, 5, 20, 14), np.float32))
print(len(os.listdir("/proc/self/task")) - before + 1, gomp.omp_get_max_threads() == most)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("variable", "argument", "used"), [("1", 0, 1), ("3", 0, 3), ("3", 2, 2), ("1", 2, 2)]
)
def test_as_many_threads_as_told(files, variable: str, argument: int, used: int) -> None:
    """OMP_NUM_THREADS, unless the argument says otherwise, which leaves the process's own setting."""
    paths = files(conv(256, 3) + conv(256, 3))
    command = [sys.executable, "-c", COUNT, *map(str, paths), str(argument)]
    environment = {**os.environ, "OMP_NUM_THREADS": variable, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [str(used), "True"]


def test_threads_must_be_some(files) -> None:
    with pytest.raises(UsageError, match="threads must be at least 1"):
        Network(*files(conv(2)), threads=0)
