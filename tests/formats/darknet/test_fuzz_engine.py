"""What the fuzz target found in the Darknet engine, and all of its inputs again under sanitizers."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.engine import Network
from mgn_convert.formats.darknet.library import FLOATS, Options, load_library

FUZZ = Path(__file__).parents[2] / "fuzz"
NET = "[net]\nchannels=4\nheight=9\nwidth=5\n"


def sanitizers_are_there(folder: Path) -> bool:
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    command = ["gcc", "-fsanitize=address,undefined", "empty.c", "-o", "empty"]
    if shutil.which(command[0]) is None:
        return False
    return not subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def test_known_inputs_under_sanitizers(tmp_path: Path) -> None:
    """Each twice, then with the 1st, 2nd, 3rd ... allocation failing."""
    if not sanitizers_are_there(tmp_path):
        pytest.skip("needs gcc with its sanitizers")
    command = [sys.executable, str(FUZZ / "fuzz.py"), "replay", "--times", "2", "--convolutions", "builtin"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == ""
    inputs = [path for folder in ("corpus", "found") for path in (FUZZ / folder).iterdir()]
    assert done.stderr.count("\n") >= 2 * len(inputs)


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    return tmp_path / "net.cfg"


def test_flipped_filters_in_groups_are_refused(cfg: Path) -> None:
    """Upstream turned their weights as if there were as many as without groups, beyond the end."""
    cfg.write_text(NET + "[convolutional]\nfilters=6\ngroups=2\nflipped=1\n")
    with pytest.raises(FileFormatError) as caught:
        Network(cfg)
    assert caught.value.because == "line 5 [convolutional]: flipped is for one group, got 2"


@pytest.mark.parametrize("version", [(1593835521, 0), (0, 2147483647), (10000, 0)])
@pytest.mark.parametrize("plain", [False, True])
def test_a_version_that_upstream_cannot_add_up(cfg: Path, version: tuple[int, int], plain: bool) -> None:
    cfg.write_text("[net]\ninputs=2\n[connected]\noutput=2\n")
    weights = cfg.with_suffix(".weights")
    weights.write_bytes(struct.pack("<4i", *version, 0, 0) + bytes(24))
    with pytest.raises(FileFormatError) as caught:
        Network(cfg, weights, plain=plain)
    assert caught.value.because == "no Darknet weights: the version reads {}.{}".format(*version)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("stair", [-np.inf, np.inf, np.nan, -2, 1.5, 5e9]),
        ("relu", [0, np.inf, np.nan, 0, 3.5, 1e10]),
        ("ramp", [-np.inf, np.inf, np.nan, -0.35, 3.85, 1.1e10]),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_activations_of_infinities(cfg: Path, name: str, wanted: list[float], plain: bool) -> None:
    cfg.write_text(f"[net]\ninputs=6\n[activation]\nactivation={name}\n")
    values = np.array([-np.inf, np.inf, np.nan, -3.5, 3.5, 1e10]).reshape(1, 6, 1, 1)
    with Network(cfg, plain=plain) as net:
        np.testing.assert_allclose(net(values)["0"].ravel(), wanted, rtol=1e-6)


@pytest.mark.parametrize("plain", [False, True])
def test_a_route_that_comes_back_to_its_first_shape(cfg: Path, plain: bool) -> None:
    """Upstream took the shape 8x0x0 for it."""
    cfg.write_text(
        NET + "[activation]\nactivation=linear\n[avgpool]\n[route]\nlayers=1,0,1\n[power]\nscale=2\n"
    )
    images = np.random.default_rng(3).standard_normal((2, 4, 9, 5)).astype(np.float32)
    mean = images.mean((2, 3))
    with Network(cfg, batch=2, plain=plain) as net:
        assert [layer.shape for layer in net.layers[2:]] == [(188, 1, 1), (188, 1, 1)]
        found = net(images)["3"].reshape(2, -1)
    np.testing.assert_allclose(found, 2 * np.concatenate([mean, images.reshape(2, -1), mean], 1), atol=1e-6)


def test_values_of_a_single_layer_do_not_outlive_the_next_run(cfg: Path) -> None:
    """dk_output gave what dk_forward_layer had left, though the network had since run on another image."""
    cfg.write_text("[net]\ninputs=1\n[power]\nscale=2\n[power]\nscale=3\n")
    engine, handle, message = load_library(), ctypes.c_void_p(), ctypes.create_string_buffer(640)
    options, value, found = Options(1, 1, 0, 0), (ctypes.c_float * 1)(), (ctypes.c_float * 1)()
    given, result = (ctypes.cast(array, FLOATS) for array in (value, found))
    path = str(cfg).encode()
    assert not engine.dk_load(path, None, ctypes.byref(options), ctypes.byref(handle), message, len(message))
    try:
        value[0] = 5
        assert not engine.dk_set_output(handle, -1, given, 1)
        assert not engine.dk_forward_layer(handle, 0, 1)
        assert not engine.dk_output(handle, 0, result, 1)
        assert found[0] == 10
        value[0] = 7
        assert not engine.dk_predict(handle, given, 1)
        assert engine.dk_output(handle, 0, result, 1) == 5
        assert engine.dk_message(handle) == b"the last run did not keep layer 0: dk_keep it before"
        assert not engine.dk_output(handle, 1, result, 1)
        assert found[0] == 42
    finally:
        engine.dk_free(handle)
