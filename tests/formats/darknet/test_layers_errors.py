"""What the layers of our own refuse, each rule with its message, and how long their weights files must be."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.engine import Network

NET = "[net]\nchannels=4\nheight=9\nwidth=5\n"
ONE = NET + "[activation]\nactivation=linear\n"  # the next section stands on line 7

REFUSED = {
    "half an average window": (
        NET + "[avgpool]\nsize_h=2\n",
        "line 5 [avgpool]: needs both size_h and size_w",
    ),
    "an average without size": (
        NET + "[avgpool]\ndivisor=2\n",
        "line 5 [avgpool]: needs size, or size_h and size_w",
    ),
    "an average of both kinds": (
        NET + "[avgpool]\nsize=2\nstride_h=2\n",
        "line 5 [avgpool]: stride_h needs size_h and size_w",
    ),
    "an average outside": (
        NET + "[avgpool]\nsize=3\npadding=3\n",
        "line 5 [avgpool]: padding of 3 and 3 puts a window of 3 wholly outside the height of 9",
    ),
    "no divisor": (
        NET + "[avgpool]\nsize=3\ndivisor=0\n",
        "line 7 [avgpool]: divisor must be at least 1, got 0",
    ),
    "unpool of no pool": (
        ONE + "[unpool]\nfrom=0\n",
        "line 7 [unpool]: from=0 is a [activation], not a [maxpool]",
    ),
    "unpool without from": (ONE + "[unpool]\n", "line 7 [unpool]: from is missing"),
    "unpool of another shape": (
        NET + "[maxpool]\nsize=2\nstride=2\n[reduce]\nkind=sum\naxes=w\n[unpool]\nfrom=0\n",
        "line 11 [unpool]: gets 4x5x1, but the pool of layer 0 gives 4x5x3",
    ),
    "unpool of overlapping windows": (
        NET + "[maxpool]\nsize=3\nstride=2\n[unpool]\nfrom=0\n",
        "line 8 [unpool]: the windows of layer 0 overlap: 3x3 every 2x2 cells",
    ),
    "a dilated window": (
        NET + "[convolutional]\nsize=3\ndilation_w=3\n",
        "line 5 [convolutional]: a window of 7 does not fit into the width of 5 with 0 cells of padding",
    ),
    "huge dilation": (
        NET + "[convolutional]\nsize=3\ndilation=2000000000\n",
        "line 5 [convolutional]: filter would take 6e+09 values, the limit is 2147483647",
    ),
    "groups and a rectangle": (
        NET + "[convolutional]\nsize_h=1\ngroups=3\n",
        "line 5 [convolutional]: groups=3 does not divide the 4 input channels",
    ),
    "groups of a deconvolution": (
        NET + "[deconvolutional]\nfilters=3\ngroups=2\n",
        "line 5 [deconvolutional]: groups=2 does not divide filters=3",
    ),
    "flipped and a rectangle": (
        NET + "[convolutional]\nsize_h=1\nflipped=1\n",
        "line 5 [convolutional]: flipped is for square filters without dilation",
    ),
    "output padding": (
        NET + "[deconvolutional]\nsize=3\nstride=2\noutput_padding=2\n",
        "line 5 [deconvolutional]: output_padding=2 must be less than the stride of 2 or the dilation of 1",
    ),
    "a deconvolution without output": (
        NET + "[deconvolutional]\nsize_h=2\npadding_w=7\n",
        "line 5 [deconvolutional]: padding=7 leaves no output",
    ),
    "slope without leaky": (
        NET + "[activation]\nactivation=relu\nslope=.1\n",
        "line 5 [activation]: slope needs activation=leaky",
    ),
    "alpha without elu": (
        NET + "[activation]\nalpha=.1\n",
        "line 5 [activation]: alpha needs activation=elu",
    ),
    "no limit": (NET + "[clip]\n", "line 5 [clip]: needs min or max"),
    "limits": (NET + "[clip]\nmin=2\nmax=1\n", "line 5 [clip]: min=2 is greater than max=1"),
    "unequal channels": (
        ONE + "[slice]\nslice_axis=3\nslice_end=2\n[sum]\nfrom=0\n",
        "line 10 [sum]: channels 2 and 4 (of layer 0) do not go together",
    ),
    "unequal width": (
        ONE + "[slice]\nslice_axis=1\nslice_end=2\n[multiply]\nfrom=0\n",
        "line 10 [multiply]: width 2 and 5 (of layer 0) do not go together",
    ),
    "from a later layer": (
        ONE + "[divide]\nfrom=1\n",
        "line 7 [divide]: from=1: only the layers 0 to 0 stand before this one",
    ),
    "no from": (ONE + "[maximum]\n", "line 7 [maximum]: from is missing"),
    "unknown axis": (
        NET + "[scale]\naxes=n\n",
        "line 5 [scale]: axes must be c, h or w with commas between, got 'n'",
    ),
    "axis twice": (NET + "[reduce]\nkind=sum\naxes=h,h\n", "line 5 [reduce]: axes=h,h names h twice"),
    "axes with a gap": (
        NET + "[scale]\naxes=c,w\n",
        "line 5 [scale]: axes=c,w: a run of c,h,w in this order is needed",
    ),
    "no scale": (NET + "[scale]\nweights=0\nbiases=0\n", "line 5 [scale]: has neither weights nor biases"),
    "negative eps": (
        NET + "[instancenorm]\neps=-1\n",
        "line 6 [instancenorm]: eps must be at least 0, got -1",
    ),
    "matrices": (
        ONE + "[matmul]\nfrom=0\n",
        "line 7 [matmul]: multiplies matrices of 9x5 by matrices of 9x5 (of layer 0)",
    ),
    "numbers of matrices": (
        ONE + "[slice]\nslice_axis=3\nslice_end=2\n[matmul]\nfrom=0\ntranspose_from=1\n",
        "line 10 [matmul]: multiplies 2 matrices by 4 (of layer 0)",
    ),
    "softmax of two axes": (
        NET + "[softmax]\naxis=h,w\n",
        "line 5 [softmax]: axis must be one axis, got 'h,w'",
    ),
    "softmax of groups": (
        NET + "[softmax]\naxis=w\ngroups=2\n",
        "line 5 [softmax]: groups=2 does not divide the 5 cells of axis w",
    ),
    "spatial softmax": (NET + "[softmax]\naxis=w\nspatial=1\n", "line 5 [softmax]: spatial=1 means axis=c"),
    "reshape": (
        NET + "[reshape]\nc=7\nh=-1\n",
        "line 5 [reshape]: the 180 values of 4x9x5 do not fill c=7 h=-1 w=1",
    ),
    "reshape to open sizes": (NET + "[reshape]\nc=-1\nh=-1\n", "line 5 [reshape]: c and h are both -1"),
    "reshape to nothing": (
        NET + "[reshape]\nc=0\n",
        "line 5 [reshape]: c must be at least 1, or -1 for what is left, got 0",
    ),
    "reshape to two minus signs": (
        NET + "[reshape]\nc=-1\nh=360\n",
        "line 5 [reshape]: the 180 values of 4x9x5 do not fill c=-1 h=360 w=1",
    ),
    "order": (NET + "[permute]\norder=w,c\n", "line 5 [permute]: order must name c, h and w, got 'w,c'"),
    "concat of unequal maps": (
        ONE + "[slice]\nslice_axis=1\nslice_end=2\n[concat]\naxis=h\nlayers=0,1\n",
        "line 10 [concat]: layer 1 gives 4x9x2, which differs from layer 0 not along h alone",
    ),
    "concat without layers": (ONE + "[concat]\naxis=h\n", "line 7 [concat]: layers is missing"),
    "kind": (
        NET + "[reduce]\nkind=prod\naxes=h\n",
        "line 6 [reduce]: kind must be one of mean, sum, max, asum, sumsq, got 'prod'",
    ),
    "no kind": (NET + "[reduce]\naxes=h\n", "line 5 [reduce]: kind is missing"),
    "no axes": (NET + "[reduce]\nkind=max\n", "line 5 [reduce]: axes is missing"),
    "no k": (ONE + "[topk]\nfrom=0\n", "line 7 [topk]: k is missing"),
    "k": (ONE + "[topk]\nfrom=0\nk=5\n", "line 7 [topk]: k=5 is more than the 4 channels"),
    "scores": (
        ONE + "[topk]\nfrom=0\nk=2\n",
        "line 7 [topk]: layer 0 gives 4x9x5, not one score for each of 4 channels",
    ),
    "an output too large": (
        "[net]\nchannels=1\nheight=50000\nwidth=1\n[permute]\norder=c,w,h\n[sum]\nfrom=0\n"
        "[power]\n[permute]\norder=c,w,h\n[matmul]\nfrom=0\n",
        "line 12 [matmul]: output would take 2.5e+09 values, the limit is 2147483647",
    ),
}

# Values of the weights file of each section.
LENGTHS = {
    "[prelu]\n": 4,
    "[prelu]\nshared=1\n": 1,
    "[scale]\n": 8,
    "[scale]\naxes=h,w\nbiases=0\n": 45,
    "[instancenorm]\n": 8,
    "[instancenorm]\naffine=0\n": 0,
    "[batchnorm]\n": 12,
    "[batchnorm]\nbiases=1\n": 16,
    "[batchnorm]\neps=1\n": 12,
    "[convolutional]\nfilters=6\ngroups=2\nsize_h=3\nsize_w=2\n": 6 + 6 * 2 * 6,
    "[convolutional]\nfilters=6\nsize_h=3\nbatch_normalize=1\n": 24 + 6 * 4 * 3,
    "[convolutional]\nfilters=6\nsize_h=3\nbatch_normalize=1\ndontloadscales=1\n": 6 + 6 * 4 * 3,
    "[deconvolutional]\nfilters=6\ngroups=2\nsize_h=3\nsize_w=2\n": 6 + 4 * 3 * 6,
    "[scale]\ndontload=1\n": 0,
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_cfg(tmp_path: Path, case: str) -> None:
    cfg, message = REFUSED[case]
    path = tmp_path / "bad.cfg"
    path.write_text(cfg)
    with pytest.raises(FileFormatError) as caught:
        Network(path)
    assert caught.value.because == message


@pytest.mark.parametrize("section", LENGTHS)
def test_length_of_the_weights_file(tmp_path: Path, section: str) -> None:
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    cfg.write_text(NET + section)
    header, values = struct.pack("<iiiq", 0, 2, 0, 0), LENGTHS[section]
    weights.write_bytes(header + bytes(4 * values))
    with Network(cfg, weights) as net:
        assert net.sources(0) == (-1,)
    for wrong in (values + 1, values - 1):
        weights.write_bytes((header + bytes(4 * values + 4))[: 20 + 4 * wrong])
        with pytest.raises(FileFormatError, match=f"expected {20 + 4 * values} bytes"):
            Network(cfg, weights)


def test_layers_that_take_a_flat_vector(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text("[net]\ninputs=6\n[power]\nscale=2\n[reshape]\nh=2\nw=-1\n[softmax]\naxis=w\n")
    with Network(cfg) as net:
        assert [layer.shape for layer in net.layers] == [(6, 1, 1), (1, 2, 3), (1, 2, 3)]
        got = net(np.zeros((1, 6, 1, 1)))["2"]
    np.testing.assert_allclose(got, 1 / 3, rtol=1e-6)
