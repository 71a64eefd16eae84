"""Every layer kind between two convolutions, prepared against plain: with oneDNN maps lie H, W, C there."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from engine_layers import LIMIT, keys

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.engine import Network

Floats = npt.NDArray[np.float32]
Both = Callable[[str, str, Floats], tuple[Floats, Floats]]

N, C, H, W = 3, 70, 11, 7  # more channels than a loop takes at once
DENSE = "[convolutional]\nfilters={}\nsize=3\npad=1\nactivation=linear\n"
DEPTHWISE = f"[convolutional]\nfilters={C}\ngroups={C}\nsize=1\nactivation=linear\n"
HEADER = struct.pack("<iiiq", 0, 2, 0, 0)
LINEAR = "[activation]\nactivation=linear\n"
SQUARE = {"size_h": 3, "size_w": 2, "stride_h": 2, "stride_w": 1}
KINDS = ("mean", "sum", "max", "asum", "sumsq")
AXES = ("c", "h", "w", "c,h", "c,w", "h,w", "c,h,w")
PAIRS = ("sum", "multiply", "divide", "maximum")


def section(name: str, **values: object) -> str:
    return f"[{name}]\n" + keys(**values)


def part(axis: int, begin: int, end: int | None = None) -> str:
    end_key = {} if end is None else {"slice_end": end}
    return section("slice", slice_axis=axis, slice_begin=begin, **end_key)


# Layer 0 is a convolution, so the first section of a form is layer 1.
POOLS = {
    "maxpool, stem of a ResNet": section("maxpool", size=3, stride=2, padding=2),
    "maxpool, square": section("maxpool", size=4, stride=3),
    "maxpool, one side padded": section("maxpool", **SQUARE, padding_top=2, padding_right=1),
    "maxpool, whole map": section("maxpool", size_h=H, size_w=W),
    "maxpool, stripes": section("maxpool", size_h=3, size_w=W, stride_h=3, stride_w=W),
    "avgpool, whole map": section("avgpool"),
    "avgpool, square": section("avgpool", size=3, stride=2, padding=1),
    "avgpool, of the map only": section("avgpool", **SQUARE, padding=1, overhang_h=1, count_include_pad=0),
    "avgpool, divisor": section("avgpool", **SQUARE, divisor=5),
    "GeM": section("clip", min=1e-6)
    + section("power", power=3)
    + section("avgpool", size_h=H, size_w=W)
    + section("power", power=1 / 3),
    "unpool": section("maxpool", size=2, stride=2, padding=0)
    + section("power", scale=-2)
    + section("unpool", **{"from": 1}),
}
ARRANGED = {
    "slice, channels": part(0, 3, 40),
    "slice, height": part(2, 2, -3),
    "slice, width": section("slice", slice_axis=1, slice_num=6, slice_pos=4),
    "route, channels": part(0, 30) + section("route", layers="-1,0,1"),
    "route, one": LINEAR + section("route", layers=0),
    "route, flat": part(2, 1) + section("route", layers="0,1"),
    "concat, channels": part(0, 65) + section("concat", axis="c", layers="1,0"),
    "concat, height": part(2, 4) + section("concat", axis="h", layers="0,1,0"),
    "concat, width": part(1, 3) + section("concat", axis="w", layers="1,0"),
    "reshape, same channels": section("reshape", c=C, h=-1, w=11),
    "reshape, vector": section("reshape", c=-1),
    "reshape, rows": section("reshape", c=1, h=C, w=-1),
    "permute": section("permute", order="w,c,h"),
    "upsample": section("upsample", stride=3, scale=0.7),
    "crop": section("crop", crop_height=4, crop_width=5),
    "crop, values kept": section("crop", crop_height=10, crop_width=2, noadjust=1),
    "reorg": part(0, 0, 68) + part(2, 1) + part(1, 1) + section("reorg", stride=2),
    "dropout": section("dropout"),
    "topk": section("avgpool") + section("route", layers=0) + section("topk", k=9, **{"from": 1}),
}
CELLS = {
    "leaky": section("activation", activation="leaky"),
    "relu": section("activation", activation="relu"),
    "logistic": section("activation", activation="logistic"),
    "hardswish": section("activation", activation="hardswish"),
    "elu of its own": section("activation", activation="elu", alpha=0.3),
    "clip": section("clip", min=-0.3, max=1),
    "power": section("power", power=2, scale=0.3, shift=1),
    "prelu": section("prelu"),
    "prelu, shared": section("prelu", shared=1),
    "scale, channels": section("scale"),
    "scale, biases alone": section("scale", weights=0),
    "scale, weights alone": section("scale", biases=0),
    "scale, height": section("scale", axes="h"),
    "scale, width": section("scale", axes="w"),
    "scale, cells": section("scale", axes="h,w"),
    "scale, channels and height": section("scale", axes="c,h"),
    "scale, all": section("scale", axes="c,h,w"),
    "batchnorm": section("batchnorm"),
    "batchnorm, biases": section("batchnorm", biases=1, eps=1e-3),
    "instancenorm": section("instancenorm"),
    "instancenorm, affine=0": section("instancenorm", affine=0, eps=0.5),
    "instancenorm, half": part(0, 0, 35)
    + section("instancenorm")
    + section("route", layers=0)
    + part(0, 35)
    + section("route", layers="2,4"),
    "l2norm": section("l2norm"),
    "softmax": section("softmax"),
    "softmax, groups": section("softmax", groups=C),
    "softmax, channels": section("softmax", spatial=1, temperature=2),
    "softmax, channels in groups": section("softmax", axis="c", groups=10),
    "softmax, height": section("softmax", axis="h"),
    "softmax, width": section("softmax", axis="w"),
}
TWO = {
    "shortcut": LINEAR + section("shortcut", **{"from": 0}, activation="relu"),
    "shortcut, scaled": LINEAR + section("shortcut", **{"from": 0}, alpha=0.3, beta=-2, activation="leaky"),
    "shortcut, own activation": LINEAR + section("shortcut", **{"from": 0}, activation="swish"),
    "shortcut, of itself": section("shortcut", **{"from": -1}),
    "sum, scaled": LINEAR + section("sum", **{"from": 0}, scale=0.3, scale_from=-2, activation="relu"),
    "matmul": section("permute", order="h,c,w") + section("matmul", **{"from": -1}, transpose_from=1),
    "matmul, attention": section("reshape", c=1, h=C, w=-1)
    + section("matmul", **{"from": -1}, transpose=1)
    + section("softmax", axis="w"),
}
REDUCED = {
    f"reduce {kind}, {axes}": section("reduce", kind=kind, axes=axes) for kind in KINDS for axes in AXES
}
NOT_ZERO = section("power", shift=0.3)
SPREAD = {
    f"{name} of {axes}, {side}": NOT_ZERO
    + section("reduce", kind="mean", axes=axes)
    + turn
    + section(name, **{"from": other})
    for name in PAIRS
    for axes in AXES
    for side, turn, other in (("before", "", 1), ("from", section("route", layers=1), 2))
}
FORMS = {**POOLS, **ARRANGED, **CELLS, **TWO, **REDUCED, **SPREAD}
FLAT = ("route, flat", "reshape, vector")


def weight_count(cfg: Path) -> int:
    """How many values a weights file of this network holds, as the engine's refusal of an empty one says."""
    empty = cfg.with_suffix(".empty")
    empty.write_bytes(HEADER)
    with pytest.raises(FileFormatError) as caught:
        Network(cfg, empty)
    found = re.search(r"expected (\d+) bytes", str(caught.value))
    assert found
    return (int(found[1]) - len(HEADER)) // 4


@pytest.fixture
def both(tmp_path: Path) -> Both:
    """both(first, sections, images): outputs of the prepared and of the plain network with the same weights.

    Those of the convolution `first` are small fractions of powers of 2. So are the images: every order of
    summing gives the same values, and what differs later is the layers' doing.
    """

    def both(first: str, sections: str, images: Floats) -> tuple[Floats, Floats]:
        _, c, h, w = images.shape
        cfg, file = tmp_path / "net.cfg", tmp_path / "net.weights"
        rng = np.random.default_rng(3)
        net_section = section("net", channels=c, height=h, width=w)
        cfg.write_text(net_section + first)
        exact = rng.integers(-7, 8, weight_count(cfg)) / 4
        cfg.write_text(net_section + first + sections)
        others = rng.uniform(0.2, 1.2, weight_count(cfg) - len(exact))
        file.write_bytes(HEADER + np.concatenate([exact, others]).astype(np.float32).tobytes())
        outputs = []
        for plain in (False, True):
            with Network(cfg, file, batch=N, plain=plain) as net:
                outputs.append(net(images)[net.layers[-1].key])
        return outputs[0], outputs[1]

    return both


def fractions(channels: int) -> Floats:
    return (np.random.default_rng(5).integers(-9, 10, (N, channels, H, W)) / 8).astype(np.float32)


def check(got: Floats, want: Floats) -> None:
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    numbers = ~np.isnan(want)
    assert np.isfinite(want[numbers]).all()
    np.testing.assert_allclose(
        got[numbers], want[numbers], rtol=0, atol=LIMIT * np.abs(want[numbers]).max(initial=0)
    )


@pytest.mark.parametrize("form", [form for form in FORMS if form not in FLAT])
def test_between_convolutions(both: Both, form: str) -> None:
    check(*both(DENSE.format(C), FORMS[form] + DENSE.format(5), fractions(3)))


@pytest.mark.parametrize("form", FORMS)
def test_last(both: Both, form: str) -> None:
    got, want = both(DENSE.format(C), FORMS[form], fractions(3))
    check(got, want)
    assert np.ptp(want) > 0 or want.size == N


@pytest.mark.parametrize("form", FORMS)
def test_a_nan_stays_where_it_belongs(both: Both, form: str) -> None:
    """In a channel of two images; the convolution before keeps channels apart."""
    images = fractions(C)
    images[0, 3, 4, 2] = images[2, 68, 0, 0] = images[2, 5, 10, 6] = np.nan
    got, want = both(DEPTHWISE, FORMS[form], images)
    check(got, want)


@pytest.mark.parametrize("form", FLAT)
def test_before_a_connected_layer(both: Both, form: str) -> None:
    check(
        *both(
            DENSE.format(C), FORMS[form] + section("connected", output=4, activation="linear"), fractions(3)
        )
    )


@pytest.mark.parametrize("channels", [1, 2, 200])
@pytest.mark.parametrize("form", POOLS)
def test_pools_of_few_and_many_channels(both: Both, form: str, channels: int) -> None:
    check(*both(DENSE.format(channels), FORMS[form] + DENSE.format(5), fractions(3)))
