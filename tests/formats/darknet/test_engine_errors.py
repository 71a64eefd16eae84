"""What the Darknet engine refuses: each case one exception with one message, and the process lives on."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError, MgnConvertError, UnsupportedError
from mgn_convert.formats.darknet.engine import Network

NET = "[net]\nchannels=4\nheight=9\nwidth=5\n"
CONV = "[convolutional]\nfilters=2\nsize=3\nstride=1\nactivation=relu\n"
FLAT = NET + "[activation]\n[avgpool]\n[route]\nlayers=0,1\n"

REFUSED = {
    "empty": ("", "the cfg holds no section"),
    "comments only": ("# nothing\n; here\n\n", "the cfg holds no section"),
    "net only": (NET, "the cfg holds no layer, only [net]"),
    "key first": ("width=3\n" + NET, "line 1: 'width=3' stands before the first section"),
    "no net": (CONV + CONV, "line 1 [convolutional]: the first section must be [net]"),
    "second net": (NET + CONV + NET, "line 10 [net]: only the first section may be [net]"),
    "half a size": ("[net]\nheight=3\n" + CONV, "line 1 [net]: needs channels, height and width, or inputs"),
    "zero height": ("[net]\nheight=0\n" + CONV, "line 2 [net]: height must be at least 1, got 0"),
    "inputs and size": (
        "[net]\nchannels=1\nheight=2\nwidth=3\ninputs=7\n" + CONV,
        "line 1 [net]: inputs=7 contradicts channels * height * width = 6",
    ),
    "huge input": (
        "[net]\nchannels=2000\nheight=2000\nwidth=2000\n" + CONV,
        "line 1 [net]: input would take 8e+09 values, the limit is 2147483647",
    ),
    "unknown section": (NET + "[convolution]\n", "line 5 [convolution]: unknown section"),
    "open section": (NET + "[conv\n", "line 5 [net]: expected [section], got '[conv'"),
    "unknown key": (NET + CONV + "filter=2\n", "line 10 [convolutional]: unknown key 'filter'"),
    "unknown key in net": ("[net]\nchanels=3\n" + CONV, "line 2 [net]: unknown key 'chanels'"),
    "no equals": (NET + CONV + "pad\n", "line 10 [convolutional]: expected key=value, got 'pad'"),
    "no value": (NET + CONV + "pad=\n", "line 10 [convolutional]: expected key=value, got 'pad='"),
    "no key": (NET + CONV + "=1\n", "line 10 [convolutional]: expected key=value, got '=1'"),
    "twice": (NET + CONV + "size=3\n", "line 10 [convolutional]: size is given twice"),
    "word for number": (
        NET + "[convolutional]\nfilters=abc\n",
        "line 6 [convolutional]: filters must be a whole number, got 'abc'",
    ),
    "fraction": (NET + CONV + "pad=1.5\n", "line 10 [convolutional]: pad must be a whole number, got '1.5'"),
    "too many digits": (
        NET + CONV + "padding=99999999999\n",
        "line 10 [convolutional]: padding must be a whole number, got '99999999999'",
    ),
    "inline comment": (
        NET + "[activation]\nactivation=relu # as ever\n",
        "line 6 [activation]: unknown activation 'relu#asever'; known are linear, relu, leaky, logistic, "
        "tanh, elu, selu, hardtan, lhtan, loggy, ramp, relie, plse, stair, relu6, swish, hardsigmoid, "
        "hardswish, gelu, gelu_tanh, softplus, exp, log, abs",
    ),
    "comma number": (
        NET + "[activation]\n[shortcut]\nfrom=0\nalpha=0,5\n",
        "line 8 [shortcut]: alpha must be a number, got '0,5'",
    ),
    "negative filters": (
        NET + "[convolutional]\nfilters=-2\n",
        "line 6 [convolutional]: filters must be at least 1, got -2",
    ),
    "zero stride": (
        NET + "[convolutional]\nstride=0\n",
        "line 6 [convolutional]: stride must be at least 1, got 0",
    ),
    "zero groups": (NET + CONV + "groups=0\n", "line 10 [convolutional]: groups must be at least 1, got 0"),
    "input channels and groups": (
        NET + CONV + "groups=3\n",
        "line 5 [convolutional]: groups=3 does not divide the 4 input channels",
    ),
    "filters and groups": (
        NET + CONV + "groups=4\n",
        "line 5 [convolutional]: groups=4 does not divide filters=2",
    ),
    "window too large": (
        NET + "[convolutional]\nsize=7\n",
        "line 5 [convolutional]: a window of 7 does not fit into the width of 5 with 0 cells of padding",
    ),
    "huge weights": (
        NET + "[convolutional]\nfilters=2000000000\nsize=1\n",
        "line 5 [convolutional]: weights would take 8e+09 values, the limit is 2147483647",
    ),
    "huge padding": (
        NET + CONV + "padding=2000000000\n",
        "line 5 [convolutional]: an output of 4000000007 cells, the limit is 2147483647",
    ),
    "conv on a vector": (
        FLAT + CONV,
        "line 9 [convolutional]: needs channels, height and width, but gets a flat vector of 184 values",
    ),
    "pool on a vector": (
        FLAT + "[maxpool]\n",
        "line 9 [maxpool]: needs channels, height and width, but gets a flat vector of 184 values",
    ),
    "deconv without output": (
        NET + "[deconvolutional]\npadding=9\n",
        "line 5 [deconvolutional]: padding=9 leaves no output",
    ),
    "route without layers": (NET + "[activation]\n[route]\n", "line 6 [route]: layers is missing"),
    "route first": (
        NET + "[route]\nlayers=-1\n",
        "line 5 [route]: layers=-1: no layer stands before this one",
    ),
    "route to later": (
        NET + CONV + "[route]\nlayers=1\n",
        "line 10 [route]: layers=1: only the layers 0 to 0 stand before this one",
    ),
    "route too far back": (
        NET + CONV + "[route]\nlayers=-1,-5\n",
        "line 10 [route]: layers=-5: only the layers 0 to 0 stand before this one",
    ),
    "route with a hole": (
        NET + CONV + "[route]\nlayers=-1,,0\n",
        "line 10 [route]: layers must be whole numbers, got ''",
    ),
    "shortcut without from": (NET + CONV + "[shortcut]\n", "line 10 [shortcut]: from is missing"),
    "shortcut to itself": (
        NET + CONV + "[shortcut]\nfrom=1\n",
        "line 10 [shortcut]: from=1: only the layers 0 to 0 stand before this one",
    ),
    "shortcut of unequal shapes": (
        NET + "[activation]\n" + CONV + "[shortcut]\nfrom=0\n",
        "line 11 [shortcut]: adds layer 0 of shape 4x9x5 to the layer before, of shape 2x7x3",
    ),
    "pool outside": (
        NET + "[maxpool]\nsize_h=2\nsize_w=2\npadding=2\n",
        "line 5 [maxpool]: padding of 2 and 2 puts a window of 2 wholly outside the height of 9",
    ),
    "pool with both sizes": (
        NET + "[maxpool]\nsize=2\nsize_h=2\nsize_w=2\n",
        "line 5 [maxpool]: size and stride exclude size_h and size_w",
    ),
    "pool with half a size": (
        NET + "[maxpool]\nsize_h=2\n",
        "line 5 [maxpool]: needs both size_h and size_w",
    ),
    "stock pool with our key": (
        NET + "[maxpool]\nsize=2\nstride_h=2\n",
        "line 5 [maxpool]: stride_h needs size_h and size_w",
    ),
    "slice without axis": (NET + "[slice]\nslice_begin=0\n", "line 5 [slice]: slice_axis is missing"),
    "slice of axis 4": (
        NET + "[slice]\nslice_axis=4\n",
        "line 6 [slice]: slice_axis must be at most 3, got 4",
    ),
    "slice without part": (
        NET + "[slice]\nslice_axis=2\nslice_num=1\n",
        "line 5 [slice]: needs slice_num and slice_pos, or slice_begin or slice_end",
    ),
    "unequal parts": (
        NET + "[slice]\nslice_axis=2\nslice_num=1\nslice_pos=0\n",
        "line 5 [slice]: slice_num=1 does not cut 9 cells into equal parts",
    ),
    "part too far": (
        NET + "[slice]\nslice_axis=2\nslice_num=2\nslice_pos=3\n",
        "line 5 [slice]: slice_pos=3, but the parts are 0 to 2",
    ),
    "empty slice": (
        NET + "[slice]\nslice_axis=1\nslice_end=0\n",
        "line 5 [slice]: slice_begin=0, slice_end=0 is no part of 5 cells",
    ),
    "slice beyond": (
        NET + "[slice]\nslice_axis=1\nslice_begin=-6\nslice_end=2\n",
        "line 5 [slice]: slice_begin=-6, slice_end=2 is no part of 5 cells",
    ),
    "slice both ways": (
        NET + "[slice]\nslice_axis=1\nslice_begin=0\nslice_pos=0\n",
        "line 5 [slice]: slice_num, slice_pos and slice_begin, slice_end exclude each other",
    ),
    "softmax groups": (
        NET + "[softmax]\ngroups=7\n",
        "line 5 [softmax]: groups=7 does not divide the 180 inputs",
    ),
    "reorg channels": (
        NET + "[reorg]\nstride=3\n",
        "line 5 [reorg]: stride=3 squared does not divide the 4 channels",
    ),
    "reorg map": (NET + "[reorg]\nstride=2\n", "line 5 [reorg]: stride=2 does not divide the map 9x5"),
    "crop": (
        NET + "[crop]\ncrop_height=10\ncrop_width=5\n",
        "line 5 [crop]: a crop of 10x5 is larger than the map 9x5",
    ),
    "dropout first": (NET + "[dropout]\n", "line 5 [dropout]: no layer stands before this one"),
    "name twice": (
        NET + "[activation]\nname=a\n[activation]\nname=a\n",
        "line 7 [activation]: name=a belongs to layer 0 already",
    ),
    "number as name": (
        NET + "[activation]\nname=3\n",
        "line 5 [activation]: name=3 would be taken for a layer's index",
    ),
}

NO_SUCH_LAYER = "this engine runs classifiers and embeddings, it has no such layer"
UNSUPPORTED = {
    **{
        f"[{name}]": (NET + CONV + f"[{name}]\n", f"line 10 [{name}]: {NO_SUCH_LAYER}")
        for name in (
            *("yolo", "region", "detection", "iseg", "rnn", "gru", "lstm", "crnn"),
            *("local", "cost", "logistic", "lrn", "normalization"),
        )
    },
    "binary": (NET + CONV + "binary=1\n", "line 10 [convolutional]: binary=1 is not supported, only 0 is"),
    "numload": (NET + CONV + "numload=1\n", "line 10 [convolutional]: numload=1 is not supported, only 0 is"),
}


def refusal(tmp_path: Path, cfg: str | bytes, kind: type[MgnConvertError]) -> MgnConvertError:
    path = tmp_path / "bad.cfg"
    path.write_bytes(cfg if isinstance(cfg, bytes) else cfg.encode())
    with pytest.raises(kind) as caught:
        Network(path)
    assert caught.value.at == str(path)
    return caught.value


@pytest.mark.parametrize("case", REFUSED)
def test_bad_cfg(tmp_path: Path, case: str) -> None:
    cfg, message = REFUSED[case]
    assert refusal(tmp_path, cfg, FileFormatError).because == message


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported_cfg(tmp_path: Path, case: str) -> None:
    cfg, message = UNSUPPORTED[case]
    assert refusal(tmp_path, cfg, UnsupportedError).because == message


def test_binary_file_as_cfg(tmp_path: Path) -> None:
    error = refusal(tmp_path, b"[net]\n\x00\x01", FileFormatError)
    assert error.because == "line 2 [net]: not a text file: it holds a zero byte"


def test_random_bytes_as_cfg(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tail = "[maxpool]\nsize_h=2\nsize_w=2\n[slice]\nslice_axis=2\nslice_begin=1\n[connected]\n"
    valid = (NET + CONV + tail).encode()
    path = tmp_path / "noise.cfg"
    for _ in range(300):
        noisy = bytearray(valid)
        for place in rng.integers(0, len(valid), rng.integers(1, 4)):
            noisy[place] = rng.integers(1, 128)
        path.write_bytes(bytes(noisy))
        with suppress(MgnConvertError):
            Network(path).close()


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError) as caught:
        Network(tmp_path / "none.cfg")
    assert caught.value.because == f"cannot open {tmp_path / 'none.cfg'}: No such file or directory"
    with pytest.raises(FileFormatError, match="Is a directory"):
        Network(tmp_path)
    cfg = tmp_path / "net.cfg"
    cfg.write_text(NET + CONV)
    with pytest.raises(FileFormatError, match=r"cannot open .*none\.weights: No such file or directory"):
        Network(cfg, tmp_path / "none.weights")
    with pytest.raises(FileFormatError, match="is not a file"):
        Network(cfg, tmp_path)


def test_a_network_too_large_for_memory(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text("[net]\nchannels=64\nheight=4000\nwidth=4000\n[activation]\n[activation]\n")
    script = (
        "import resource, sys\n"
        "from mgn_convert.formats.darknet.engine import Network\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try:\n    Network(sys.argv[1])\n"
        "except Exception as error:\n    print(error.because)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(cfg)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "line 5 [activation]: out of memory: 1024000000 items of 8 bytes\n"
