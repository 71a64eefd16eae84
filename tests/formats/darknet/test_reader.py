"""cfg and weights made elsewhere: what they mean, and what is refused."""

import struct

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.formats.darknet.weights import HEADER

OLD_HEADER = struct.pack("<iiii", 0, 1, 0, 0)
NET = "[net]\nbatch=1\nchannels=3\nheight=6\nwidth=4\n"
# What converters of 2018 wrote: pad=1 for size / 2, windows by direction, a route before every slice.
TAIL = """
[convolutional]
batch_normalize=1
filters=2
size=3
stride=1
pad=1
activation=relu

[maxpool]
size_h=2
size_w=2
stride_h=2
stride_w=1
padding=0

[route]
layers=-1

[slice]
slice_axis=2
slice_num=2
slice_pos=0

[route]
layers=-3

[slice]
slice_axis=2
slice_num=2
slice_pos=2

[convolutional]
filters=3
size=1
stride=1
pad=0
activation=linear

[route]
layers=-4,-1
"""


@pytest.fixture
def read(tmp_path):
    def run(text: str, numbers=(), header: bytes = HEADER):
        (tmp_path / "x.cfg").write_text(text)
        (tmp_path / "x.weights").write_bytes(header + np.asarray(numbers, "<f4").tobytes())
        return FORMAT.read(Source(tmp_path / "x.cfg"))

    return run


@pytest.mark.parametrize("header", [OLD_HEADER, HEADER])
def test_the_dialect_of_2018(read, header):
    random = np.random.default_rng(3)
    bias, scale, mean = random.standard_normal((3, 2)).astype("f4")
    var = np.array([0.5, 1e-7], "f4")
    weight = random.standard_normal((2, 3, 3, 3)).astype("f4")
    last_bias, last = (
        random.standard_normal(3).astype("f4"),
        random.standard_normal((3, 2, 1, 1)).astype("f4"),
    )
    numbers = np.concatenate([a.ravel() for a in (bias, scale, mean, var, weight, last_bias, last)])
    graph = read(NET + TAIL, numbers, header)
    x = random.standard_normal((2, 3, 6, 4))

    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    y = np.einsum("nchwij,ocij->nohw", view, weight.astype("f8"))

    def along(v):
        return v.astype("f8").reshape(1, -1, 1, 1)

    y = (y - along(mean)) / (np.sqrt(along(var)) + float(np.float32(1e-6))) * along(scale) + along(bias)
    y = np.maximum(y, 0)
    rows = np.maximum(y[:, :, 0::2], y[:, :, 1::2])
    rows = np.maximum(rows[..., :-1], rows[..., 1:])
    third = np.einsum("nchw,oc->nohw", rows[:, :, 2:3], last[:, :, 0, 0].astype("f8")) + along(last_bias)
    wanted = np.concatenate([rows[:, :, 0:1], third], axis=1)

    found = graph.run({"data": x})
    assert list(found) == ["7.route"]
    np.testing.assert_allclose(found["7.route"], wanted, rtol=1e-12, atol=1e-9)
    assert [n.name for n in graph.nodes if n.op == "slice"] == ["3.slice", "5.slice"]


def test_origins_name_the_line(read):
    graph = read(NET + "[activation]\nactivation=relu\nname=first\n[activation]\nactivation=tanh\n")
    assert [(n.name, str(n.origin)) for n in graph.nodes] == [
        ("first", "first (x.cfg:6)"),
        ("1.activation", "1.activation (x.cfg:9)"),
    ]


def test_layers_that_compute_nothing_have_no_node(read):
    text = "[activation]\nactivation=elu\n[dropout]\nprobability=.5\n[route]\nlayers=0\n[activation]\n"
    assert [n.op for n in read(NET + text).nodes] == ["elu"]


def test_transposed_matrices(read):
    header = struct.pack("<iiii", 1001, 0, 0, 0)
    graph = read(NET + "[connected]\noutput=2\nactivation=linear\n", np.arange(2 + 72 * 2), header)
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 4))
    wanted = x.reshape(2, -1) @ np.arange(2, 146).reshape(72, 2) + [0, 1]
    np.testing.assert_allclose(graph.run({"data": x})["0.connected"], wanted)


def test_shortcut_factors_and_route_of_vectors(read):
    text = """
[activation]
activation=relu
[avgpool]
[shortcut]
from=-1
alpha=0.5
beta=2
activation=leaky
[route]
layers=0,2
[softmax]
groups=3
temperature=2
"""
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 4))
    graph = read(NET + text)
    relu = np.maximum(x, 0)
    mean = relu.mean(axis=(2, 3))
    flat = np.concatenate([relu.reshape(2, -1), 2.5 * mean], axis=1).reshape(2, 3, 25) / 2
    wanted = np.exp(flat) / np.exp(flat).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(graph.run({"data": x})["4.softmax"], wanted.reshape(2, 75))


@pytest.mark.parametrize(("padding", "start", "shape"), [("", 1, (6, 4)), ("padding=1\n", 0, (5, 3))])
def test_stock_padding_is_of_both_sides(read, padding, start, shape):
    graph = read(NET + f"[maxpool]\nsize=3\n{padding}")
    assert graph.nodes[0].attrs["padding"][:2] == (start, start)
    assert graph.nodes[0].shape[2:] == shape


BAD = {
    "unknown sections": (
        "[yolo]\nx=1\n[activation]\n[lstm]\n[yolo]\n",
        "no rule reads [yolo], [lstm]",
        "x.cfg:6 [yolo]",
        "lines 6, 9, 10",
    ),
    "unknown keys": (
        "[activation]\ngamma=1\nbeta=2\n",
        "[activation] has no key gamma",
        "x.cfg:7 [activation]",
        "remove it; likewise beta (line 8)",
    ),
    "unknown activation": (
        "[activation]\nactivation=mish\n",
        "no rule reads the activation mish",
        "x.cfg:7 [activation]",
        "one of linear",
    ),
    "layer to come": (
        "[activation]\n[route]\nlayers=3\n",
        "there is no layer 3 before this one",
        "x.cfg:7 [route]",
        "a number from -1 to 0",
    ),
    "route to the input": (
        "[route]\nlayers=-1\n",
        "there is no layer -1 before",
        "x.cfg:6 [route]",
        "an [activation] before it, which copies the input",
    ),
    "unequal shortcut": (
        "[activation]\n[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0\n",
        "a [shortcut] adds layers of one shape",
        "x.cfg:11 [shortcut]",
        "upstream subsamples",
    ),
    "uneven parts": (
        "[slice]\nslice_axis=2\nslice_num=3\nslice_pos=0\n",
        "slice_num cuts into equal parts",
        "x.cfg:8 [slice]",
        "slice_begin and slice_end cut anywhere",
    ),
    "no such part": (
        "[slice]\nslice_axis=2\nslice_num=2\nslice_pos=3\n",
        "slice_num cuts",
        "x.cfg:9",
        "slice_begin",
    ),
    "image wanted": (
        "[connected]\noutput=4\n[softmax]\n[avgpool]\n",
        "[avgpool] needs channels, height and width",
        "x.cfg:9 [avgpool]",
        "[connected] is what reads vectors",
    ),
    "groups": (
        "[convolutional]\nfilters=4\ngroups=2\n",
        "groups divides the channels",
        "x.cfg:8",
        "",
    ),
    "kernel too large": (
        "[convolutional]\nsize=9\n",
        "conv: a result needs positive dimensions",
        "x.cfg:6",
        "",
    ),
    "weights kept out": (
        "[convolutional]\ndontload=1\n",
        "dontload is not supported",
        "x.cfg:7",
        "remove dontload",
    ),
    "a number as name": (
        "[activation]\nname=-3\n",
        "a layer's name is no number",
        "x.cfg:7 [activation]",
        "",
    ),
    "half a switch": (
        "[convolutional]\nbatch_normalize=2\n",
        "batch_normalize is 0 or 1",
        "x.cfg:7 [convolutional]",
        "correct the number",
    ),
    "one name twice": (
        "[activation]\nname=a\n[activation]\nname=a\n",
        "two layers have one name",
        "x.cfg:9",
        "rename",
    ),
    "no layer": (
        "",
        "the network has no layer",
        "x.cfg:1 [net]",
        "",
    ),
    "huge": (
        "[upsample]\nstride=2147483647\n",
        "the layer is larger than Darknet's counters",
        "x.cfg:6",
        "",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_networks(name, read):
    text, what, at, remedy = BAD[name]
    with pytest.raises(FileFormatError) as caught:
        read(NET + text)
    assert what in caught.value.what
    assert at in caught.value.at
    assert remedy in caught.value.remedy


def test_a_short_weights_file_names_the_section(read):
    text = NET + "[convolutional]\nfilters=2\nsize=3\nbatch_normalize=1\n"
    with pytest.raises(FileFormatError) as caught:
        read(text, np.zeros(10))
    assert "x.cfg:6 [convolutional], in its weights" in caught.value.at
    assert caught.value.got == "60 bytes, expected 268 (-208)"


def test_missing_weights(tmp_path):
    (tmp_path / "x.cfg").write_text(NET + "[activation]\n")
    with pytest.raises(FileFormatError, match=r"cannot read .*x\.weights"):
        FORMAT.read(Source(tmp_path / "x.cfg"))
