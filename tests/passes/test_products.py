"""Products in another order: the same numbers from fewer multiplications, and the graph alone where not."""

import numpy as np
import pytest

from mgn_convert.graph import Graph, GraphBuilder
from mgn_convert.passes.products import pool_before_product, share_products


def weights(*dims: int) -> np.ndarray:
    return np.random.default_rng(dims).uniform(-1, 1, dims)


def channel_attention(channels: int, leader: int = 3, ends: int = 2, **changes) -> Graph:
    """What MuDeep has for each scale: weights between channels from a leader, and pooled sums."""
    b = GraphBuilder("attention")
    x = b.input("x", (1, leader, 6, 4))
    stream = b.add("conv", x, weight=weights(channels, leader, 1, 1), name="stream")
    outputs = []
    for i in range(ends):
        name = f"scale{i}"
        one, two = (
            b.add("conv", x, weight=weights(channels, leader, 1, 1) + i + j, name=f"{name}.f{j}")
            for j in (0, 1)
        )
        a = b.add("reshape", one, shape=(0, channels, -1), name=f"{name}.a")
        c = b.add("reshape", two, shape=(0, channels, -1), name=f"{name}.b")
        product = b.add("matmul", a, b.add("permute", c, order=(0, 2, 1)), name=f"{name}.logits")
        attention = b.add("softmax", product, axis=2, name=f"{name}.softmax")
        flat = b.add("reshape", stream, shape=(0, channels, -1), name=f"{name}.flat")
        y = b.add("matmul", attention, flat, name=f"{name}.gathered")
        y = b.add("reshape", y, shape=(0, channels, 6, 4), name=f"{name}.map")
        y = b.add("mul", b.add("constant", value=np.array([0.3]), name=f"{name}.gamma"), y)
        y = b.add(changes.get("join", "add"), y, stream, name=f"{name}.sum")
        outputs.append(b.add("reduce", y, kind="mean", axes=(2, 3), keepdims=i == 0, name=f"{name}.mean"))
        outputs.append(b.add("avg_pool", y, kernel=(2, 4), stride=(2, 4), name=f"{name}.thirds"))
        if changes.get("shown"):
            outputs.append(y)
    return b.graph(outputs)


def same(before: Graph, after: Graph) -> None:
    images = {"x": np.random.default_rng(0).uniform(-1, 1, (3, *before.inputs[0].shape[1:]))}
    wanted, got = before.run(images), after.run(images)
    assert [*got] == [*wanted]
    for name, array in wanted.items():
        # 1e-12: some hundred roundings of float64 at numbers near 1.
        np.testing.assert_allclose(got[name], array, rtol=1e-12, atol=1e-12)


def largest(graph: Graph, op: str) -> int:
    return max(int(np.prod(node.shape)) for node in graph if node.op == op)


def test_leaders_products_are_shared():
    before = channel_attention(10)
    after = share_products(before)
    same(before, after)
    assert sum(node.op == "matmul" for node in after) == 3
    assert after.node("scale0.logits").op == after.node("scale1.logits").op == "linear"
    assert after.node("scale1.logits").origin == before.node("scale1.logits").origin


def test_products_of_few_rows_stay():
    before = channel_attention(10, leader=12)
    assert share_products(before) is before


@pytest.mark.parametrize("join", ["add", "sub"])
def test_pooling_comes_before_the_product(join):
    before = channel_attention(10, join=join)
    after = pool_before_product(before)
    same(before, after)
    assert "scale0.gathered" not in after
    widths = [node.shape[2] for node in after if node.op == "matmul" and "product" in node.name]
    assert sorted(widths) == [1, 1, 3, 3]


def test_a_sum_that_is_shown_is_computed_whole():
    before = channel_attention(10, shown=True)
    assert pool_before_product(before) is before


@pytest.mark.parametrize(
    "pool",
    [
        {"op": "max_pool", "kernel": (2, 4), "stride": (2, 4)},
        {"op": "avg_pool", "kernel": (2, 3), "stride": (2, 4), "padding": (1, 1, 1, 1)},
        {"op": "reduce", "kind": "max", "axes": (2, 3)},
        {"op": "reduce", "kind": "mean", "axes": (1,)},
        {"op": "avg_pool", "kernel": (1, 1), "stride": (1, 1)},
    ],
    ids=lambda pool: f"{pool['op']}-{len(pool)}",
)
def test_only_means_over_windows_inside_commute(pool):
    b = GraphBuilder("net")
    x, a = b.input("x", (1, 5, 6, 4)), b.input("a", (1, 3, 5))
    y = b.add("matmul", a, b.add("reshape", x, shape=(0, 5, -1)))
    y = b.add("reshape", y, shape=(0, 3, 6, 4))
    graph = b.graph([b.add(pool["op"], y, **{k: v for k, v in pool.items() if k != "op"})])
    assert pool_before_product(graph) is graph
