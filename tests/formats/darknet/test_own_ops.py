"""Ops that only our engine has sections for: the graph of the files, and the engine, whole and by layer."""

import numpy as np
import pytest

from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.graph.ops import OPS as ALL_OPS
from mgn_convert.passes.legalize import legalize

SHAPE = (1, 5, 9, 6)


def add(op, **fields):
    return lambda b, x, m: b.add(op, x, **fields)


def seen(*shape):
    """The input in another shape, by another op first, so that a layer of the input's shape holds it."""
    return lambda b, x: b.add("reshape", b.add("tanh", x), shape=(0, *shape))


def on(view, op, **fields):
    return lambda b, x, m: b.add(op, view(b, x), **fields)


def positive(op, **fields):
    return lambda b, x, m: b.add(op, b.add("power", b.add("abs", x), shift=0.25), **fields)


def conv(out=4, kernel=(3, 3), **fields):
    return lambda b, x, m: b.add("relu", m.norm(b, m.conv(b, x, out, kernel, bias=True, **fields)))


def transpose(shape=(5, 3, 3, 2), **fields):
    def layers(b, x, m):
        weight, groups = m.numbers(*shape) / 3, fields.get("groups", 1)
        y = b.add("conv_transpose", x, weight=weight, bias=m.numbers(shape[1] * groups), **fields)
        return m.norm(b, y)

    return layers


def reduced(b, x, axes):
    return b.add("reduce", b.add("tanh", x), kind="mean", axes=axes, keepdims=True)


def pair(op, axes):
    """x with its means, which are 1 along `axes`; both ways round."""

    def layers(b, x, m):
        first = b.add(op, x, b.add("power", reduced(b, x, axes), shift=2.0))
        return b.add(op, b.add("power", reduced(b, x, axes), shift=2.0), b.add("power", first, shift=9.0))

    return layers


def scaled(axis, weight=None, bias=None, view=None):
    def layers(b, x, m):
        fields = {"weight": weight, "bias": bias}
        arrays = {key: m.numbers(*shape) for key, shape in fields.items() if shape is not None}
        return b.add("scale", view(b, x) if view else x, axis=axis, **arrays)

    return layers


def matrices(b, x, m, left=(5, 9, 6), right=(5, 6, 9)):
    return b.add("matmul", seen(*left)(b, x), b.add("reshape", x, shape=(0, *right)))


def unpooled(b, x, m, pool=True, **fields):
    window = {"kernel": (2, 2), "stride": (2, 2), **fields}
    y = b.add("tanh", x)
    pooled = b.add("max_pool", y, **window)
    if not pool:
        pooled = b.add("avg_pool", y, **window)
    return b.add("max_unpool", b.add("power", m.conv(b, pooled, 5), shift=3.0), y, **window)


def chosen(b, x, m, view=None):
    scores = b.add("reduce", b.add("sigmoid", x), kind="sum", axes=(2, 3))
    values = b.add("tanh", x) if view is None else b.add("reshape", x, shape=view)
    return b.add("top_channels", values, scores, k=3)


ROWS, FIVE = seen(9, 30), seen(3, 3, 5, 6)
POOL = {"kernel": (3, 2), "stride": (2, 2)}
EXACT = {
    "conv with two strides": conv(stride=(2, 1), padding=(0, 2)),
    "conv dilated": conv(kernel=(2, 3), dilation=(3, 2), padding=(1, 2)),
    "conv in groups": conv(out=10, kernel=(1, 4), groups=5, stride=(1, 3)),
    "conv of another shape": lambda b, x, m: m.conv(b, seen(10, 3, 9)(b, x), 4, (3, 3)),
    "transpose in groups": transpose((5, 2, 3, 3), groups=5, stride=(2, 2)),
    "transpose": transpose(stride=(2, 3), padding=(1, 0), output_padding=(1, 2)),
    "transpose dilated": transpose(dilation=(2, 1), output_padding=(1, 0)),
    "transpose with much room": transpose(output_padding=(2, 3)),
    "average of the map": add("avg_pool", **POOL, padding=(1, 1, 1, 1), count_include_pad=False),
    "average with overhang": add("avg_pool", kernel=(3, 3), stride=(2, 2), overhang=(0, 1)),
    "average of sides": add("avg_pool", **POOL, padding=(2, 0, 1, 1)),
    "average by number": add("avg_pool", **POOL, divisor=5),
    "average by fraction": add("avg_pool", **POOL, divisor=2.5),
    "average of another shape": on(seen(10, 3, 9), "avg_pool", kernel=(2, 4), stride=(1, 5)),
    "max of another shape": on(seen(10, 3, 9), "max_pool", kernel=(3, 3), stride=(1, 5)),
    "unpool": unpooled,
    "unpool without its pool": lambda b, x, m: unpooled(b, x, m, pool=False),
    "unpool with gaps": lambda b, x, m: unpooled(b, x, m, kernel=(1, 2), stride=(3, 2)),
    "power": positive("power", power=-1.5, scale=0.5, shift=0.1),
    "square": add("power", power=2.0, shift=-0.3),
    "clip": add("clip", min=-0.25, max=None),
    "clip relu6": lambda b, x, m: b.add("clip", m.conv(b, x, 4), min=0.0, max=6.0),
    "clip nothing": add("clip", min=None, max=np.inf),
    "prelu": lambda b, x, m: b.add("prelu", x, weight=m.numbers(5)),
    "prelu of rows": lambda b, x, m: b.add("prelu", ROWS(b, x), weight=m.numbers(9)),
    "prelu shared": lambda b, x, m: b.add("prelu", ROWS(b, x), weight=m.numbers()),
    "leaky": add("leaky_relu", slope=0.3),
    "leaky in a conv": lambda b, x, m: b.add("leaky_relu", m.conv(b, x, 4), slope=-0.2),
    "elu": add("elu", alpha=0.5),
    "elu after add": lambda b, x, m: b.add("elu", b.add("add", x, b.add("tanh", x)), alpha=0.7),
    "gelu": add("gelu"),
    "gelu tanh": lambda b, x, m: b.add("gelu", m.conv(b, x, 4), approximate="tanh"),
    "softplus": add("softplus"),
    "exp": add("exp"),
    "log": positive("log"),
    "abs": add("abs"),
    "silu": lambda b, x, m: b.add("mul", x, b.add("sigmoid", x)),
    "mul": lambda b, x, m: b.add("relu", b.add("mul", x, b.add("tanh", x))),
    "mul by channels": pair("mul", (2, 3)),
    "add to places": pair("add", (1,)),
    "sub of rows": pair("sub", (3,)),
    "div by one": pair("div", (1, 2, 3)),
    "maximum": pair("maximum", (1, 2)),
    "outer": lambda b, x, m: b.add("mul", reduced(b, x, (2, 3)), reduced(b, x, (1, 3))),
    "add of two shapes": lambda b, x, m: b.add("add", seen(270)(b, x), b.add("reshape", x, shape=(0, -1))),
    "mul of five axes": lambda b, x, m: b.add("mul", FIVE(b, x), reduced(b, FIVE(b, x), (1, 2, 4))),
    "maximum of a constant": lambda b, x, m: b.add("maximum", x, b.add("constant", value=m.numbers(9, 1))),
    "constant over x": lambda b, x, m: b.add("div", b.add("constant", value=m.numbers(6)), b.add("exp", x)),
    "scale of columns": scaled(3, weight=(6,), bias=(6,)),
    "scale of cells": scaled(2, weight=(9, 6)),
    "scale of all": scaled(1, bias=(5, 9, 6)),
    "scale of two kinds": scaled(1, weight=(5,), bias=(5, 9)),
    "scale by a number": scaled(1, weight=(), bias=()),
    "scale of rows": scaled(2, weight=(30,), bias=(30,), view=ROWS),
    "scale of a vector": scaled(1, weight=(270,), view=seen(-1)),
    "scale of five axes": scaled(2, weight=(3, 5), bias=(3, 5), view=FIVE),
    "norm of rows": lambda b, x, m: m.norm(b, ROWS(b, x)),
    "norm of a flat map": lambda b, x, m: m.norm(b, seen(-1)(b, x), eps=1e-3),
    "norm without scale": lambda b, x, m: m.norm(b, x, weight=None, bias=None, low=1e-9, high=1e-6),
    "norm and scale": lambda b, x, m: b.add(
        "scale", m.norm(b, x, weight=None, bias=None), weight=m.numbers(5), bias=m.numbers(5)
    ),
    "instance norm": lambda b, x, m: b.add("instance_norm", x, weight=m.numbers(5), bias=m.numbers(5)),
    "instance norm alone": on(seen(3, 90, 1), "instance_norm", eps=1e-3),
    "instance norm with a shift": lambda b, x, m: b.add("instance_norm", x, bias=m.numbers(5)),
    "mvn": add("mvn"),
    "mvn of all": add("mvn", across_channels=True),
    "mean taken off": add("mvn", normalize_variance=False),
    "matmul": matrices,
    "matmul of rows": lambda b, x, m: matrices(b, x, m, (9, 30), (30, 9)),
    "matmul with one": lambda b, x, m: b.add(
        "matmul", x, b.add("reshape", reduced(b, x, (1, 2)), shape=(0, 1, 6, 1))
    ),
    "matmul of five axes": lambda b, x, m: matrices(b, x, m, (3, 5, 3, 6), (3, 5, 6, 3)),
    "matmul by itself": lambda b, x, m: b.add(
        "matmul", ROWS(b, x), b.add("permute", ROWS(b, x), order=(0, 2, 1))
    ),
    "matmul by a constant": lambda b, x, m: b.add("matmul", x, b.add("constant", value=m.numbers(6, 4))),
    "linear of rows": lambda b, x, m: b.add(
        "linear", ROWS(b, x), weight=m.numbers(4, 30) / 5, bias=m.numbers(4)
    ),
    "linear of columns": lambda b, x, m: b.add("linear", x, weight=m.numbers(7, 6)),
    **{f"softmax {axis}": add("softmax", axis=axis) for axis in (1, 2, -1)},
    "softmax of rows": on(ROWS, "softmax", axis=1),
    "softmax of five axes": on(FIVE, "softmax", axis=2),
    "softmax then conv": lambda b, x, m: m.conv(b, b.add("softmax", x, axis=2), 3, (3, 3)),
    **{
        f"permute {order}": add("permute", order=(0, *order))
        for order in ((1, 3, 2), (2, 3, 1), (3, 2, 1), (2, 1, 3))
    },
    "permute rows": on(ROWS, "permute", order=(0, 2, 1)),
    "permute five axes": on(FIVE, "permute", order=(0, 3, 2, 4, 1)),
    "shuffle": on(FIVE, "permute", order=(0, 2, 1, 3, 4)),
    "patches": lambda b, x, m: b.add(
        "permute", b.add("reshape", x, shape=(0, 5, 3, 3, 2, 3)), order=(0, 2, 4, 1, 3, 5)
    ),
    "permute of ones": on(seen(9, 30, 1), "permute", order=(0, 3, 1, 2)),
    "reshape": lambda b, x, m: m.conv(b, b.add("reshape", x, shape=(0, 2, 15, 9)), 3, (3, 3)),
    "concat rows of maps": lambda b, x, m: b.add("concat", x, b.add("tanh", x), axis=2),
    "concat columns": lambda b, x, m: b.add("concat", x, b.add("tanh", x), m.conv(b, x, 5), axis=3),
    "concat rows": lambda b, x, m: b.add("concat", ROWS(b, x), b.add("reshape", x, shape=(0, 9, 30)), axis=2),
    "concat tokens": lambda b, x, m: b.add("relu", b.add("concat", ROWS(b, x), ROWS(b, x), axis=1)),
    "concat five axes": lambda b, x, m: b.add("concat", FIVE(b, x), FIVE(b, x), axis=2),
    **{
        f"{kind} over {axes}": add("reduce", kind=kind, axes=axes, keepdims=len(axes) == 2)
        for kind, axes in (
            ("mean", (1,)), ("sum", (2,)), ("max", (3,)), ("asum", (1, 2)), ("sumsq", (1, 3)),
            ("sum", (2, 3)), ("sum", (1, 2, 3)), ("max", (1, 2, 3)),
        )
    },
    "mean of rows": on(ROWS, "reduce", kind="mean", axes=(1,)),
    "mean of five axes": on(FIVE, "reduce", kind="mean", axes=(2, 3), keepdims=True),
    "mean of another shape": on(seen(10, 3, 9), "reduce", kind="mean", axes=(2, 3)),
    "slice of rows": on(ROWS, "slice", axis=2, start=3, stop=11),
    "slice of a vector": on(seen(-1), "slice", axis=1, start=27, stop=54),
    "slice of five axes": on(FIVE, "slice", axis=2, start=1, stop=2),
    "slice of another shape": on(seen(10, 3, 9), "slice", axis=1, start=2, stop=7),
    "top channels": chosen,
    "top of rows": lambda b, x, m: chosen(b, x, m, (0, 5, 54)),
    "top of a vector": lambda b, x, m: chosen(b, x, m, (0, 5, 54, 1)),
    "padded with a number": add("pad", padding=(1, 0, 2, 1), value=0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_files_and_engine_give_the_graph(name, network, make, check):
    check(network(lambda b, x: EXACT[name](b, x, make), SHAPE))


def test_a_pool_serves_its_unpool(network, make, check):
    text = check(network(lambda b, x: unpooled(b, x, make), SHAPE)).read_text()
    assert text.count("[maxpool]") == 1
    text = check(network(lambda b, x: unpooled(b, x, make, pool=False), SHAPE)).read_text()
    assert text.count("[maxpool]") == 1


def through_the_batch(into, op, weight, back, **fields):
    """`op` on images of `into`, to which the batch was cut, and put together again."""

    def layers(b, x):
        y = b.add(op, b.add("reshape", b.add("tanh", x), shape=(-1, *into)), weight=weight, **fields)
        return b.add("reshape", y, shape=(-1, *back))

    return layers


ROW, COLUMN = np.eye(6, dtype=np.float32)[:, None, None], np.eye(9, dtype=np.float32)[:, None, None]
CUT = {
    "convolution": through_the_batch((1, 9, 6), "conv", 2 * ROW, (5, 6, 9)),
    "convolution of groups": through_the_batch((3, 9, 2), "conv", COLUMN[:6, :, :, :2], (30, 9, 1), groups=3),
    "transposed convolution": through_the_batch((9, 6, 1), "conv_transpose", COLUMN - 0.5, (5, 6, 9)),
    "rows swapped": through_the_batch((1, 9, 6), "conv", ROW, (5, 6, 9)),
    "columns swapped": through_the_batch((9, 6, 1), "conv_transpose", COLUMN, (5, 6, 9)),
}


@pytest.mark.parametrize("name", CUT)
def test_axes_that_pass_through_the_batch(name, network, check):
    """Caffe's files do so to turn maps; what only swaps rows and columns is no convolution."""
    text = check(network(CUT[name], SHAPE)).read_text()
    assert ("[permute]" in text) == ("swapped" in name)
    assert ("convolutional]" in text) != ("swapped" in name)


def test_a_view_is_written_once(network, make, check):
    def layers(b, x):
        flat = b.add("reshape", b.add("tanh", x), shape=(0, 9, 30))
        parts = [b.add("slice", flat, axis=1, start=i, stop=i + 3) for i in (0, 3, 6)]
        return b.add("concat", *parts, axis=2)

    assert check(network(layers, SHAPE)).read_text().count("[reshape]") == 1


def test_written_ops_are_those_of_the_rules():
    written = FORMAT.written_ops()
    assert written["conv_transpose"] == "deconvolutional, upsample"
    assert written["reduce"] == "reduce, avgpool, maxpool"
    assert written["mvn"] == written["pad"] == "expanded"
    assert set(written) == set(ALL_OPS) - {"constant", "threshold"}


@pytest.mark.parametrize("name", ["silu", "div by one", "matmul of five axes", "transpose", "top channels"])
def test_what_is_read_can_be_written_again(name, network, make, write, images, difference, tmp_path):
    graph = network(lambda b, x: EXACT[name](b, x, make), SHAPE)
    values = images(graph, 3)
    target, again = FORMAT.target(None), FORMAT.read(Source(write(graph)))
    first = graph.run({"data": values})[graph.outputs[0]]
    (tmp_path / "again").mkdir()
    cfg = FORMAT.write(legalize(again, target), tmp_path / "again", "net", target).files[0]
    with FORMAT.open_runner(Source(cfg)) as runner:
        assert runner.input_name == "data"
        (found,) = runner.run(values).values()
    assert difference(found, first) <= 2e-6
