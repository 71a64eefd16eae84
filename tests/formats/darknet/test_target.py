"""What each dialect lacks, in words, and what is done about it."""

import numpy as np
import pytest

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.graph import GraphBuilder
from mgn_convert.passes.expansions.darknet import Window, square_around
from mgn_convert.passes.legalize import legalize

RESHAPED = "the layer that holds its input has another shape, and Darknet has no layer that reshapes"


def reshaped(b, x):
    return b.add("reshape", x, shape=(0, 10, 3, 9))


REFUSED = {
    "threshold": (lambda b, x, m: b.add("threshold", x), "Darknet has no such layer"),
    "a constant": (
        lambda b, x, m: b.add("concat", x, b.add("constant", value=m.numbers(1, 2, 9, 6)), axis=1),
        "Darknet has no constants but weights",
    ),
    "join images": (lambda b, x, m: b.add("concat", x, x, axis=0), "Darknet does not join along the batch"),
    "cut images": (
        lambda b, x, m: b.add("slice", b.add("concat", x, x, axis=0), axis=0, start=0, stop=1),
        "Darknet does not cut the batch",
    ),
    "mean of images": (
        lambda b, x, m: b.add("reduce", x, kind="mean", axes=(0,), keepdims=True),
        "a [reduce] goes over axes of one image that are at most three, with the others",
    ),
    "images as channels": (
        lambda b, x, m: b.add("permute", x, order=(1, 0, 2, 3)),
        "Darknet keeps the batch axis first",
    ),
    "images in shape": (
        lambda b, x, m: b.add("reshape", x, shape=(5, 1, 9, 6)),
        "Darknet keeps the batch axis as it is",
    ),
    "axes that alternate": (
        lambda b, x, m: b.add(
            "mul",
            b.add("reshape", x, shape=(0, 5, 3, 3, 2, 3)),
            b.add(
                "reduce",
                b.add("reshape", x, shape=(0, 5, 3, 3, 2, 3)),
                kind="max",
                axes=(2, 4),
                keepdims=True,
            ),
        ),
        "a [reduce] goes over axes of one image",
    ),
    "ranks": (
        lambda b, x, m: b.add("mul", x, b.add("reduce", x, kind="mean", axes=(1,))),
        "layers broadcast along channels, height and width, and these values have other axes",
    ),
    "softmax of images": (
        lambda b, x, m: b.add("softmax", x, axis=0),
        "[softmax] goes over elements that lie side by side, as those of the last axis do",
    ),
    "matmul of vectors": (
        lambda b, x, m: b.add(
            "matmul", b.add("reduce", x, kind="max", axes=(2, 3)), b.add("reshape", x, shape=(5, 54))
        ),
        "a [matmul] multiplies matrices of each image, (N, ..., M, K) by (N, ..., K, P)",
    ),
    "clip to nothing": (
        lambda b, x, m: b.add("clip", x, min=2.0, max=1.0),
        "a [clip] has a minimum that is at most its maximum",
    ),
    "infinite number": (
        lambda b, x, m: b.add("power", x, shift=np.inf),
        "the numbers of a cfg are finite",
    ),
}
NOT_STOCK = {
    "matmul": (
        lambda b, x, m: b.add("matmul", x, b.add("permute", x, order=(0, 1, 3, 2))),
        "Darknet has no such layer",
    ),
    "mul": (lambda b, x, m: b.add("mul", x, x), "Darknet has no such layer"),
    "square": (lambda b, x, m: b.add("power", x, power=2.0), "Darknet has no powers"),
    "elu": (lambda b, x, m: b.add("elu", x, alpha=0.5), "upstream's activations have no numbers"),
    "softmax": (
        lambda b, x, m: b.add("softmax", x, axis=1),
        "[softmax] goes over elements that lie side by side, as those of the last axis do",
    ),
    "a map as a vector": (lambda b, x, m: b.add("reshape", b.add("relu", x), shape=(0, -1)), RESHAPED),
    "join rows": (lambda b, x, m: b.add("concat", x, x, axis=2), "a [route] joins along axis 1 only"),
    "broadcast": (
        lambda b, x, m: b.add("add", x, b.add("reduce", x, kind="mean", axes=(2, 3), keepdims=True)),
        "a [shortcut] adds values of one shape",
    ),
    "conv after reshape": (lambda b, x, m: m.conv(b, reshaped(b, x), 4, (3, 3)), RESHAPED),
    "pool after reshape": (
        lambda b, x, m: b.add("max_pool", reshaped(b, x), kernel=(3, 3), stride=(3, 3)),
        RESHAPED,
    ),
    "norm after reshape": (
        lambda b, x, m: m.norm(b, reshaped(b, x)),
        "axis 1 of its input is not the channel of the Darknet layer that holds it",
    ),
    "two strides": (
        lambda b, x, m: m.conv(b, x, 4, (3, 3), stride=(2, 1)),
        "Darknet has one stride and one padding for both directions",
    ),
    "grouped transpose": (
        lambda b, x, m: b.add("conv_transpose", x, weight=m.numbers(5, 1, 3, 3), groups=5),
        "[deconvolutional] has no groups",
    ),
    "linear of rows": (
        lambda b, x, m: b.add("linear", x, weight=m.numbers(2, 6)),
        "[connected] reads the whole layer, so its input is (N, K)",
    ),
    "mean of rows": (
        lambda b, x, m: b.add("reduce", x, kind="mean", axes=(2,)),
        "upstream Darknet reduces by mean and by max, over height and width together",
    ),
    "scale of columns": (
        lambda b, x, m: b.add("scale", x, weight=m.numbers(6), axis=3),
        "Darknet scales whole channels only",
    ),
    "average without padding": (
        lambda b, x, m: b.add(
            "avg_pool", x, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1), count_include_pad=False
        ),
        "[avgpool] takes the whole map",
    ),
    "instance norm": (lambda b, x, m: b.add("instance_norm", x), "Darknet has no such layer"),
}


@pytest.mark.parametrize("name", NOT_STOCK)
def test_what_upstream_lacks(name, network, make):
    layers, reason = NOT_STOCK[name]
    graph = network(lambda b, x: layers(b, x, make), (1, 5, 9, 6))
    with pytest.raises(UnsupportedError) as caught:
        legalize(graph, FORMAT.target("stock"))
    found = [r.because for r in caught.value.refusals] or [caught.value.because]
    assert any(reason in because for because in found)
    legalize(graph, FORMAT.target(None))


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name, network, make):
    layers, reason = REFUSED[name]
    graph = network(lambda b, x: layers(b, x, make), (1, 5, 9, 6))
    with pytest.raises(UnsupportedError) as caught:
        legalize(graph, FORMAT.target(None))
    found = [r.because for r in caught.value.refusals] or [caught.value.because]
    assert any(reason in because for because in found)


def test_every_refusal_is_listed_at_once(network):
    def layers(b, x):
        y = b.add("mul", x, x, name="first")
        y = b.add("softmax", y, axis=2, name="second")
        return b.add("log", y, name="third")

    with pytest.raises(UnsupportedError) as caught:
        legalize(network(layers), FORMAT.target("stock"))
    assert [r.at for r in caught.value.refusals] == ["first", "second", "third"]
    assert str(caught.value).startswith("3 nodes cannot be expressed in darknet\n\nmul cannot be expressed")


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 4)])
def test_the_input_is_an_image(shape):
    b = GraphBuilder("net")
    x = b.input("data", shape)
    with pytest.raises(UnsupportedError, match=r"a Darknet network has one input \(N, C, H, W\)"):
        legalize(b.graph([b.add("relu", x)]), FORMAT.target(None))


def test_dialects():
    assert FORMAT.dialects() == ("mgn", "stock")
    with pytest.raises(UsageError, match="Darknet has no dialect alexey"):
        FORMAT.target("alexey")


STOCK = {
    "whole width": (lambda b, x, m: b.add("max_pool", x, kernel=(6, 4), stride=(6, 4)), None),
    "wide and low": (
        lambda b, x, m: b.add("max_pool", x, kernel=(3, 4), stride=(3, 4)),
        "upstream's [maxpool] has one size, one stride and one padding for both directions",
    ),
    "max of all": (lambda b, x, m: b.add("reduce", x, kind="max", axes=(2, 3)), None),
    "3/2": (
        lambda b, x, m: b.add("max_pool", x, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        None,
    ),
    "strided": (lambda b, x, m: m.conv(b, x, 7, stride=(2, 2), bias=True), None),
    "padded": (lambda b, x, m: m.conv(b, x, 7, padding=(1, 1), bias=True), None),
    "rectangular": (lambda b, x, m: m.conv(b, x, 7, (5, 1), padding=(2, 0)), None),
    "slice": (
        lambda b, x, m: b.add("slice", x, axis=2, start=0, stop=3),
        "upstream Darknet has no layer that cuts",
    ),
    "transpose": (
        lambda b, x, m: b.add("conv_transpose", x, weight=m.numbers(5, 3, 2, 2)),
        "upstream Darknet crashes when it loads a [deconvolutional]",
    ),
    "scale": (lambda b, x, m: b.add("relu", b.add("scale", x, weight=m.numbers(5))), None),
    "power": (lambda b, x, m: b.add("power", x, scale=0.25, shift=-1.5), None),
    "norm": (lambda b, x, m: b.add("relu", m.norm(b, x)), None),
    "prelu": (lambda b, x, m: b.add("prelu", x, weight=m.numbers(5)), None),
    "leaky": (lambda b, x, m: b.add("leaky_relu", x, slope=0.3), None),
    "clip": (lambda b, x, m: b.add("clip", x, min=-0.25, max=0.75), None),
    "abs": (lambda b, x, m: b.add("abs", x), None),
    "average": (lambda b, x, m: b.add("avg_pool", x, kernel=(2, 2), stride=(2, 2)), None),
    "average of all": (lambda b, x, m: b.add("avg_pool", x, kernel=(12, 4), stride=(1, 1)), None),
    "sum": (lambda b, x, m: b.add("reduce", x, kind="sum", axes=(2, 3)), None),
    "softmax": (lambda b, x, m: b.add("softmax", x, axis=-1), None),
    "dilated": (lambda b, x, m: m.conv(b, x, 7, (3, 3), dilation=(2, 2), padding=(2, 2)), None),
}


@pytest.mark.parametrize("name", STOCK)
def test_the_stock_dialect(name, network, make, write, images, read_output, difference):
    layers, reason = STOCK[name]
    graph = network(lambda b, x: layers(b, x, make), (1, 5, 12, 4))
    if reason:
        with pytest.raises(UnsupportedError) as caught:
            write(graph, "stock")
        assert reason in str(caught.value)
        return
    cfg = write(graph, "stock")
    assert not {"size_h", "padding_h", "[slice]"} & set(cfg.read_text().replace("=", "\n").split())
    values = images(graph, 3)
    wanted = graph.run({"data": values})[graph.outputs[0]]
    assert difference(read_output(cfg, values), wanted) <= 2e-7


def test_a_square_kernel_around_any_window():
    # MGN's averages over stripes: 12 x 8 of 24 x 8 cells.
    assert square_around(Window(12, 12, 0, 2, 24), Window(8, 8, 0, 1, 8)) == (16, 12, 4)
    assert square_around(Window(1, 1, 0, 9, 9), Window(7, 1, 3, 6, 6)) == (7, 1, 3)
    assert square_around(Window(3, 2, 0, 4, 9), Window(3, 1, 0, 4, 6)) is None


@pytest.mark.parametrize("dialect", ["mgn", "stock"])
def test_clip_is_exact_far_outside(dialect, network, write, read_output):
    graph = network(lambda b, x: b.add("clip", x, min=0.0, max=6.0), (1, 1, 1, 4))
    values = np.array([-1e30, 1e30, 2.5, 7], np.float32).reshape(1, 1, 1, 4)
    assert read_output(write(graph, dialect), values).ravel().tolist() == [0, 6, 2.5, 6]
