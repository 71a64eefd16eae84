"""Every op of the graph against PyTorch in float64, on odd sizes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from op_cases import BINARY, CASES, W, arr, t

from mgn_convert.errors import GraphError
from mgn_convert.graph import GraphBuilder, with_batch
from mgn_convert.graph.ops import OPS
from mgn_convert.graph.ops.pool import ceil_overhang


def test_every_op_has_a_case():
    assert set(OPS) == {*CASES, *BINARY, "constant", "max_unpool", "top_channels"}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("op", CASES)
def test_unary_op_equals_pytorch(op, batch):
    fields, reference = CASES[op]
    b = GraphBuilder("t")
    x = b.input("data", (1, 6, 7, 5))
    if op == "log":
        x = b.add("power", b.add("abs", x), shift=1.0)
    graph = b.graph([b.add(op, x, **fields)])
    images = arr(batch, 6, 7, 5)
    (found,) = graph.run({"data": images}).values()
    expected = reference(t(images)).numpy()
    assert found.shape == expected.shape == with_batch(graph, batch).nodes[-1].shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("op", BINARY)
def test_binary_op_equals_pytorch(op):
    b = GraphBuilder("t")
    x, y = b.input("x", (1, 6, 7, 5)), b.input("y", (1, 6, 7, 5))
    second = b.add("permute", y, order=(0, 1, 3, 2)) if op == "matmul" else y
    graph = b.graph([b.add(op, x, second, **({"axis": 1} if op == "concat" else {}))])
    left, right = arr(3, 6, 7, 5), arr(3, 6, 7, 5)
    (found,) = graph.run({"x": left, "y": right}).values()
    np.testing.assert_allclose(found, BINARY[op](t(left), t(right)).numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), [(8, 3, 2, 0), (7, 3, 3, 1), (9, 2, 4, 1)])
def test_ceil_rounding_is_an_overhang(size, kernel, stride, padding, include):
    over = ceil_overhang(size, kernel, stride, padding)
    window = dict(kernel=(kernel, kernel), stride=(stride, stride))
    b = GraphBuilder("t")
    x = b.input("data", (1, 2, size, size))
    ends = (padding, padding, padding + over, padding + over)
    largest = b.add("max_pool", x, **window, padding=ends)
    mean = b.add(
        "avg_pool", x, **window, padding=(padding,) * 4, overhang=(over, over), count_include_pad=include
    )
    images = arr(2, 2, size, size)
    found = b.graph([largest, mean]).run({"data": images})
    expected = F.max_pool2d(t(images), kernel, stride, padding, ceil_mode=True)
    np.testing.assert_array_equal(found["max_pool"], expected.numpy())
    expected = F.avg_pool2d(t(images), kernel, stride, padding, ceil_mode=True, count_include_pad=include)
    np.testing.assert_allclose(found["avg_pool"], expected.numpy(), rtol=1e-12)


def test_constants_and_float32():
    b = GraphBuilder("t")
    x = b.input("data", (1, 2, 3, 3))
    y = b.add("mul", x, b.add("constant", value=np.full((2, 1, 1), 3.0, np.float32)))
    found = b.graph([y]).run({"data": np.ones((4, 2, 3, 3))}, dtype="float32")["mul"]
    assert found.dtype == np.float32
    assert (found == 3).all()


def test_unpooling_puts_values_where_the_maxima_were():
    b = GraphBuilder("t")
    window = dict(kernel=(2, 2), stride=(2, 2))
    x = b.input("data", (1, 3, 7, 8))
    values = b.add("power", b.add("max_pool", x, **window), scale=2.0)
    graph = b.graph([b.add("max_unpool", values, x, **window)])
    images = arr(2, 3, 7, 8)
    images[0, 0, :2, :2] = 5.0  # a tie: PyTorch takes the first
    pooled, indices = F.max_pool2d(t(images), 2, 2, return_indices=True)
    expected = F.max_unpool2d(2 * pooled, indices, 2, 2, output_size=(7, 8))
    (found,) = graph.run({"data": images}).values()
    np.testing.assert_array_equal(found, expected.numpy())


def test_the_channels_of_the_highest_scores_come_best_first():
    b = GraphBuilder("t")
    x = b.input("data", (1, 6, 3, 4))
    scores = b.add("reduce", x, kind="sum", axes=(2, 3))
    graph = b.graph([b.add("top_channels", x, scores, k=4)])
    images = arr(3, 6, 3, 4)
    best = t(images).sum((2, 3)).topk(4, 1).indices
    expected = torch.gather(t(images), 1, best[:, :, None, None].expand(-1, -1, 3, 4))
    (found,) = graph.run({"data": images}).values()
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize(
    ("op", "fields", "rule"),
    [
        ("conv", dict(weight=W, groups=3), "channels, groups and weight agree"),
        ("conv", {}, "needs 'weight'"),
        ("conv", dict(weight=W, groups=2, strides=2), "has no field 'strides'"),
        ("max_pool", dict(kernel=(1, 1), stride=(4, 4), padding=(0, 0, 3, 3)), "every window touches"),
        ("slice", dict(axis=1, start=2, stop=9), "0 <= start < stop <= 6"),
        ("softmax", dict(axis=4), "axis must be within a value of 4 axes"),
        ("reshape", dict(shape=(0, 7)), "the number of elements stays"),
        ("nonsense", {}, "there is no op 'nonsense'"),
    ],
)
def test_a_wrong_node_fails_where_it_is_made(op, fields, rule):
    b = GraphBuilder("t")
    x = b.input("data", (1, 6, 7, 6))
    with pytest.raises(GraphError, match=rule):
        b.add(op, x, **fields)


def test_names_stay_unique_and_taps_are_returned():
    b = GraphBuilder("t")
    x = b.input("data", (1, 2, 3, 3))
    first = b.add("relu", x, name="relu")
    graph = b.graph([b.add("relu", first, name="relu")])
    assert [n.name for n in graph] == ["relu", "relu_1"]
    assert set(graph.run({"data": arr(1, 2, 3, 3)}, taps=["relu", "data"])) == {"relu_1", "relu", "data"}
    with pytest.raises(GraphError, match="no value 'x'"):
        graph.run({"data": arr(1, 2, 3, 3)}, taps=["x"])
    with pytest.raises(GraphError, match="another shape"):
        graph.run({"data": arr(1, 2, 3, 4)})
