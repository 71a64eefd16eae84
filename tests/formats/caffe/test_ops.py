"""Every op that the portable dialect can express: written, and run in OpenCV against the graph in float64."""

import numpy as np
import pytest

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT
from mgn_convert.graph import GraphBuilder
from mgn_convert.passes.legalize import legalize

C, H, W = 6, 9, 7


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).uniform(-1, 1, shape).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    return np.abs(weights(*shape)) + np.float32(0.3)


def graph_of(op: str, *shapes: tuple[int, ...], **fields):
    b = GraphBuilder("one")
    values = [b.input("x" if i == 0 else f"x{i}", (1, *shape)) for i, shape in enumerate(shapes)]
    return b.graph([b.add(op, *values, name="y", **fields)])


X = (C, H, W)
CASES = {
    "conv": ("conv", [X], {"weight": weights(4, C, 3, 3), "bias": weights(4), "padding": (1, 1)}),
    "conv-rect": (
        "conv",
        [X],
        {"weight": weights(4, C, 3, 1), "stride": (2, 1), "padding": (1, 0)},
    ),
    "conv-groups-dilation": (
        "conv",
        [X],
        {"weight": weights(9, 2, 3, 3), "groups": 3, "dilation": (2, 2), "padding": (2, 1)},
    ),
    "conv-two-dilations": ("conv", [X], {"weight": weights(5, C, 3, 2), "dilation": (2, 3)}),
    "deconv": (
        "conv_transpose",
        [X],
        {"weight": weights(C, 2, 4, 3), "stride": (2, 3), "padding": (1, 0), "groups": 3, "bias": weights(6)},
    ),
    "deconv-output-padding": (
        "conv_transpose",
        [X],
        {"weight": weights(C, 5, 3, 3), "stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1)},
    ),
    "deconv-cells": (
        "conv_transpose",
        [X],
        {"weight": weights(C, 2, 1, 1), "padding": (1, 2), "groups": 3, "bias": weights(6)},
    ),
    "deconv-dilation": ("conv_transpose", [X], {"weight": weights(C, 5, 3, 2), "dilation": (2, 3)}),
    "linear": ("linear", [(11,)], {"weight": weights(5, 11), "bias": weights(5)}),
    "linear-rank3": ("linear", [(4, 11)], {"weight": weights(5, 11)}),
    "linear-rank4": ("linear", [X], {"weight": weights(5, W), "bias": weights(5)}),
    "batch_norm": (
        "batch_norm",
        [X],
        {"mean": weights(C), "var": positive(C), "weight": weights(C), "bias": weights(C), "eps": 3e-4},
    ),
    "batch_norm-plain": ("batch_norm", [X], {"mean": weights(C), "var": positive(C), "eps": 0.02}),
    "batch_norm-no-weight": (
        "batch_norm",
        [X],
        {"mean": weights(C), "var": positive(C), "bias": weights(C)},
    ),
    "batch_norm-2d": (
        "batch_norm",
        [(5,)],
        {"mean": weights(5), "var": positive(5), "weight": weights(5), "bias": weights(5)},
    ),
    "instance_norm": (
        "instance_norm",
        [X],
        {"weight": weights(C), "bias": weights(C), "eps": 2e-3},
    ),
    "instance_norm-plain": ("instance_norm", [X], {}),
    "mvn": ("mvn", [X], {"eps": 1e-2}),
    "mvn-across": ("mvn", [X], {"eps": 1e-2, "across_channels": True}),
    "mvn-mean": ("mvn", [X], {"normalize_variance": False}),
    "scale": ("scale", [X], {"weight": weights(C), "bias": weights(C)}),
    "scale-bias": ("scale", [X], {"bias": weights(C)}),
    "scale-hw": ("scale", [X], {"weight": weights(H, W), "axis": 2}),
    "scale-chw": ("scale", [X], {"weight": weights(C, H, W), "bias": weights(C, H, W)}),
    "scale-number": ("scale", [X], {"weight": np.float32(1.5), "bias": np.float32(-2)}),
    "scale-two-shapes": ("scale", [X], {"weight": weights(C), "bias": weights(C, H)}),
    "max_pool-stem": (
        "max_pool",
        [(3, 192, 64)],
        {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)},
    ),
    "max_pool-ceil": ("max_pool", [X], {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0, 1, 1)}),
    "max_pool-rect": ("max_pool", [X], {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0, 1, 0)}),
    "max_pool-small-kernel": ("max_pool", [X], {"kernel": (1, 2), "stride": (3, 4)}),
    "max_pool-late-padding": (
        "max_pool",
        [X],
        {"kernel": (5, 3), "stride": (1, 1), "padding": (0, 0, 4, 2)},
    ),
    "max_pool-global": ("max_pool", [X], {"kernel": (H, W), "stride": (1, 1)}),
    "avg_pool": ("avg_pool", [X], {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)}),
    "avg_pool-even": ("avg_pool", [X], {"kernel": (2, 3), "stride": (2, 2)}),
    "avg_pool-exclude": (
        "avg_pool",
        [X],
        {"kernel": (3, 3), "stride": (2, 1), "padding": (1, 1, 1, 1), "count_include_pad": False},
    ),
    "avg_pool-divisor": ("avg_pool", [X], {"kernel": (3, 2), "stride": (1, 1), "divisor": 5}),
    "avg_pool-overhang": (
        "avg_pool",
        [(2, 8, 8)],
        {"kernel": (3, 3), "stride": (2, 2), "padding": (0, 0, 0, 0), "overhang": (1, 1)},
    ),
    "avg_pool-late-padding": (
        "avg_pool",
        [X],
        {"kernel": (4, 4), "stride": (1, 1), "padding": (1, 1, 2, 2)},
    ),
    "relu": ("relu", [X], {}),
    "leaky_relu": ("leaky_relu", [X], {"slope": 0.13}),
    "prelu": ("prelu", [X], {"weight": weights(C)}),
    "prelu-shared": ("prelu", [X], {"weight": np.float32(0.3)}),
    "elu": ("elu", [X], {"alpha": 0.7}),
    "sigmoid": ("sigmoid", [X], {}),
    "tanh": ("tanh", [X], {}),
    "abs": ("abs", [X], {}),
    "exp": ("exp", [X], {}),
    "softplus": ("softplus", [X], {}),
    "gelu-tanh": ("gelu", [X], {"approximate": "tanh"}),
    "gelu": ("gelu", [X], {}),
    "power-square": ("power", [X], {"power": 2.0, "scale": 0.5, "shift": 0.3}),
    "power-affine": ("power", [X], {"scale": -1.5, "shift": 0.1}),
    "power-constant": ("power", [X], {"scale": 0.0, "shift": 0.1}),
    "clip-6": ("clip", [X], {"min": 0.0, "max": 1.5}),
    "clip": ("clip", [X], {"min": -0.5, "max": 0.7}),
    "clip-above": ("clip", [X], {"min": None, "max": 0.7}),
    "clip-below": ("clip", [X], {"min": 0.2, "max": np.inf}),
    "softmax": ("softmax", [X], {"axis": 1}),
    "softmax-last": ("softmax", [X], {"axis": -1}),
    "add": ("add", [X, X], {}),
    "sub": ("sub", [X, X], {}),
    "mul": ("mul", [X, X], {}),
    "maximum": ("maximum", [X, X], {}),
    "mul-gate": ("mul", [X, (C, 1, 1)], {}),
    "mul-gate-first": ("mul", [(C, 1, 1), X], {}),
    "mul-map": ("mul", [X, (1, H, W)], {}),
    "mul-column": ("mul", [X, (C, 1, W)], {}),
    "mul-row": ("mul", [X, (C, H, 1)], {}),
    "mul-outer": ("mul", [(C, 1, 1), (1, H, W)], {}),
    "mul-2d": ("mul", [(5,), (1,)], {}),
    "add-gate": ("add", [X, (C, 1, 1)], {}),
    "sub-map": ("sub", [(1, H, W), X], {}),
    "add-2d": ("add", [(5,), (1,)], {}),
    "maximum-gate": ("maximum", [X, (C, 1, 1)], {}),
    "concat": ("concat", [X, (3, H, W), X], {"axis": 1}),
    "concat-last": ("concat", [X, (C, H, 2)], {"axis": -1}),
    "slice": ("slice", [X], {"axis": 1, "start": 1, "stop": 3}),
    "slice-last": ("slice", [X], {"axis": -1, "start": 2, "stop": W}),
    "slice-all": ("slice", [X], {"axis": 2, "start": 0, "stop": H}),
    "reshape": ("reshape", [X], {"shape": (0, -1)}),
    "reshape-3": ("reshape", [X], {"shape": (0, 3, -1)}),
    "permute-ones": ("permute", [(C, 1, 1)], {"order": (0, 2, 3, 1)}),
    "reduce-mean": ("reduce", [X], {"kind": "mean", "axes": (2, 3)}),
    "reduce-mean-keep": ("reduce", [X], {"kind": "mean", "axes": (-1, -2), "keepdims": True}),
    "reduce-max": ("reduce", [X], {"kind": "max", "axes": (2, 3)}),
    "reduce-sum-channels": ("reduce", [X], {"kind": "sum", "axes": (1,), "keepdims": True}),
    "reduce-max-rows": ("reduce", [X], {"kind": "max", "axes": (2,)}),
    "reduce-two-runs": ("reduce", [X], {"kind": "mean", "axes": (1, 3)}),
    "reduce-asum": ("reduce", [(5, 4)], {"kind": "asum", "axes": (1,)}),
    "reduce-sumsq": ("reduce", [(5,)], {"kind": "sumsq", "axes": (1,), "keepdims": True}),
    "add-outer": ("add", [(C, 1, 1), (1, H, W)], {}),
    "add-map": ("add", [X, (1, H, W)], {}),
    "add-number": ("add", [X, (1, 1, 1)], {}),
    "mul-number": ("mul", [(1, 1, 1), X], {}),
    "mul-tokens": ("mul", [(4, 5), (1, 5)], {}),
    "sub-tokens": ("sub", [(4, 5), (4, 1)], {}),
    "concat-tokens": ("concat", [(4, 5), (3, 5)], {"axis": 1}),
    "concat-rows": ("concat", [X, (C, 2, W)], {"axis": 2}),
    "softmax-tokens": ("softmax", [(4, 5)], {"axis": 2}),
    "softmax-rank5": ("softmax", [(2, 3, 4, 5)], {"axis": -1}),
    "scale-tokens": ("scale", [(4, 5)], {"weight": weights(5), "bias": weights(5), "axis": 2}),
    "scale-places": ("scale", [(4, 5)], {"bias": weights(4, 5), "axis": 1}),
    "permute-tokens": ("permute", [(40, 11)], {"order": (0, 2, 1)}),
    "permute-tokens-wide": ("permute", [(11, 40)], {"order": (0, 2, 1)}),
    "permute-last": ("permute", [X], {"order": (0, 2, 3, 1)}),
    "permute-first": ("permute", [X], {"order": (0, 3, 1, 2)}),
    "permute-heads": ("permute", [(10, 4, 8)], {"order": (0, 2, 1, 3)}),
    "permute-heads-back": ("permute", [(4, 10, 8)], {"order": (0, 2, 1, 3)}),
    "permute-reverse": ("permute", [X], {"order": (0, 3, 2, 1)}),
    "permute-rank5": ("permute", [(10, 3, 4, 5)], {"order": (0, 2, 3, 1, 4)}),
    "matmul": ("matmul", [(70, 80), (80, 240)], {}),
    "matmul-few-columns": ("matmul", [(20, 30), (30, 3)], {}),
    "matmul-outer": ("matmul", [(20, 1), (1, 30)], {}),
    "matmul-heads": ("matmul", [(4, 20, 8), (4, 8, 20)], {}),
    "matmul-vector": ("matmul", [(1, 8), (8, 20)], {}),
    "reduce-mean-map": ("reduce", [X], {"kind": "mean", "axes": (1,), "keepdims": True}),
    "reduce-max-map": ("reduce", [X], {"kind": "max", "axes": (1,), "keepdims": True}),
    "reduce-max-places": ("reduce", [X], {"kind": "max", "axes": (1,)}),
    "reduce-all-keep": ("reduce", [X], {"kind": "sum", "axes": (1, 2, 3), "keepdims": True}),
    "reduce-tokens": ("reduce", [(4, 50)], {"kind": "mean", "axes": (2,), "keepdims": True}),
    "reduce-sumsq-long": ("reduce", [(6144,)], {"kind": "sumsq", "axes": (1,), "keepdims": True}),
    "top_channels": ("top_channels", [(40, 5, 4), (40,)], {"k": 6}),
    "top_channels-vectors": ("top_channels", [(40, 5), (40,)], {"k": 1}),
    "max_unpool": ("max_unpool", [(C, 4, 3), (C, 8, 6)], {"kernel": (2, 2), "stride": (2, 2)}),
    "max_unpool-odd": ("max_unpool", [(C, 4, 3), X], {"kernel": (2, 2), "stride": (2, 2)}),
    "pad": ("pad", [X], {"padding": (1, 0, 2, 3)}),
    "pad-value-cut": ("pad", [X], {"padding": (-1, 2, 0, -2), "value": 0.5}),
}


@pytest.mark.parametrize("case", CASES)
def test_portable(case, in_opencv):
    op, shapes, fields = CASES[case]
    in_opencv(graph_of(op, *shapes, **fields))


@pytest.mark.parametrize("case", ["log", "power", "power-cube-root"])
def test_portable_on_positive_numbers(case, in_opencv):
    op = case.partition("-")[0]
    fields = {"log": {}, "power": {"power": -0.5, "shift": 1e-3}, "power-cube-root": {"power": 1 / 3}}[case]
    in_opencv(graph_of(op, X, **fields), low=0.1)


@pytest.mark.parametrize("op", ["div"])
def test_division(op, in_opencv):
    in_opencv(graph_of(op, X, (C, 1, 1)), low=0.5)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "maximum"])
@pytest.mark.parametrize("shape", [(), (C, 1, 1), (H, W), (W,), (1, C, 1, W)], ids=str)
@pytest.mark.parametrize("first", [False, True])
def test_with_a_constant(op, shape, first, in_opencv):
    b = GraphBuilder("one")
    x, c = b.input("x", (1, C, H, W)), b.add("constant", value=positive(*shape))
    in_opencv(b.graph([b.add(op, *((c, x) if first else (x, c)), name="y")]), low=0.5)


def test_matmul_by_a_constant(in_opencv):
    b = GraphBuilder("one")
    x, c = b.input("x", (1, 4, 5)), b.add("constant", value=weights(5, 3))
    in_opencv(b.graph([b.add("matmul", x, c, name="y")]))


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_clip_is_exact_far_from_its_bounds(size, written):
    prototxt = written(graph_of("clip", (5,), min=0.0, max=6.0))
    x = np.array([[-size, -0.1, 3.3, 6.1, size]], np.float32)
    with FORMAT.open_runner(Source(prototxt)) as runner:
        assert runner.run_feeds({"data": x})["y"].tolist() == np.clip(x, 0, 6).tolist()


@pytest.mark.parametrize("dialect", ["opencv"])
def test_opencv_dialect_rounds_down_and_permutes(dialect, in_opencv):
    b = GraphBuilder("one")
    x = b.input("x", (1, C, 10, 8))
    y = b.add("max_pool", x, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    prototxt = in_opencv(b.graph([b.add("permute", y, order=(0, 2, 3, 1))]), dialect)
    text = prototxt.read_text()
    assert "ceil_mode: false" in text
    assert "Slice" not in text


def test_bvlc_master_says_round_mode(written):
    text = written(graph_of("max_pool", X, kernel=(2, 2), stride=(2, 2)), "bvlc-master").read_text()
    assert "round_mode: FLOOR" in text
    graph = FORMAT.read(Source(written(graph_of("clip", X, min=0, max=6), "bvlc-master")))
    assert [node.op for node in graph] == ["clip"]


def test_every_refusal_is_listed():
    b = GraphBuilder("one")
    x = b.input("x", (1, C, H, W))
    turned = b.add("permute", x, order=(1, 0, 2, 3), name="turned")
    above = b.add("threshold", x, name="above")
    with pytest.raises(UnsupportedError) as caught:
        legalize(b.graph([turned, above]), FORMAT.target(None))
    assert [refusal.at for refusal in caught.value.refusals] == ["turned", "above"]
    assert str(caught.value.refusals[1]) == (
        "threshold cannot be expressed in caffe (dialect portable)\n"
        "  at       above\n"
        "  because  BVLC Caffe 1.0, BVLC Caffe master and OpenCV have no Threshold layer in common\n"
        "  got      threshold=0.0 1x6x9x7 -> 1x6x9x7\n"
        "  try      --dialect bvlc-1.0 or bvlc-master"
    )
