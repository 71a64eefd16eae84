"""What one op alone does not show: values of different ranks, choices, and sums that lose digits."""

import numpy as np
import pytest

from mgn_convert.formats.tensorflow.runner import inward, outward
from mgn_convert.graph import GraphBuilder

random = np.random.default_rng(3)

MAP = (1, 6, 11, 7)
SEQUENCE = (1, 5, 6)
CONSTANTS = [(6, 1, 1), (11, 7), (), (1, 6, 11, 7), (1, 1, 1, 1), (7,), (6, 11, 7), (1,)]


def some(*shape: int) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


def built(op: str, shape: tuple, **fields):
    b = GraphBuilder("net")
    return b.graph([b.add(op, b.input("x", shape), name="y", **fields)])


@pytest.mark.parametrize("shape", CONSTANTS)
def test_constants_of_any_rank_meet_maps(in_tensorflow, shape):
    b = GraphBuilder("net")
    x, c = b.input("x", MAP), b.add("constant", value=some(*shape), name="c")
    nodes = in_tensorflow(b.graph([b.add("add", x, c, name="y"), b.add("sub", c, x, name="z")]))
    assert not {"Transpose", "Reshape"} & {node.op for node in nodes}


@pytest.mark.parametrize(("a", "b"), [((6, 1, 5), (*MAP[:2], 1, 5)), ((1, 5), (1, 2, 3, 5))])
def test_values_of_other_ranks_meet_maps(in_tensorflow, a, b):
    builder = GraphBuilder("net")
    x = builder.input("x", b)
    y = builder.add("reduce", x, kind="sum", axes=(0,), keepdims=False) if len(a) == 3 else None
    if y is None:
        y = builder.add("reduce", x, kind="sum", axes=(0, 1), keepdims=False)
        y = builder.add("slice", y, axis=0, start=1, stop=2)
    in_tensorflow(builder.graph([builder.add("mul", x, y, name="z")]))


def test_top_channels(in_tensorflow):
    for shape in (MAP, SEQUENCE, (1, 6)):
        b = GraphBuilder("net")
        x, scores = b.input("x", shape), b.input("scores", shape[:2])
        ties = b.add("threshold", scores, threshold=0.2)
        in_tensorflow(
            b.graph([b.add("top_channels", x, s, k=3, name=n) for n, s in (("y", scores), ("z", ties))])
        )


@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), (2, 2)), ((2, 3), (3, 3)), ((1, 2), (2, 3))])
def test_max_unpool(in_tensorflow, kernel, stride):
    b = GraphBuilder("net")
    x = b.input("x", MAP)
    rectified = b.add("relu", x)
    pooled = b.add("max_pool", rectified, kernel=kernel, stride=stride)
    values = b.add("power", pooled, scale=-0.7, shift=3.0)
    in_tensorflow(b.graph([b.add("max_unpool", values, rectified, kernel=kernel, stride=stride, name="y")]))


@pytest.mark.parametrize("scale", [1.0, 1.2e-38, 4e29])
def test_choices_between_neighbours_are_exact(written, engine, scale):
    """Ties, signs, zeros and numbers that differ in the last bit, down to the smallest normal ones."""
    b = GraphBuilder("net")
    values, source = b.input("values", (1, 6, 4, 3)), b.input("source", (1, 6, 9, 7))
    scores = b.input("scores", (1, 6))
    unpooled = b.add("max_unpool", values, source, kernel=(2, 2), stride=(2, 2), name="unpooled")
    graph = b.graph([unpooled, b.add("top_channels", values, scores, k=4, name="top")])
    feeds = {"values": random.normal(size=(3, 6, 4, 3)).astype(np.float32)}
    for name, shape in (("source", (3, 6, 9, 7)), ("scores", (3, 6))):
        few = (random.integers(-3, 4, shape) * np.float32(scale)).astype(np.float32)
        more = (random.random(shape) < 0.4) & (few != 0)
        feeds[name] = np.where(more, np.nextafter(few, np.float32(np.inf)), few)
    path = str(written(graph).files[0])
    fed = {f"{name}:0": inward(array) for name, array in feeds.items()}
    got = engine(path, fed, ["unpooled:0", "top:0"])
    for found, wanted in zip(got, graph.run(feeds, dtype="float32").values(), strict=True):
        np.testing.assert_array_equal(outward(found), wanted)


def test_values_far_from_zero_keep_their_variance(in_tensorflow):
    """A mean of 1000 and a deviation near 1: what a variance as E[x^2] - E[x]^2 would lose."""
    in_tensorflow(built("instance_norm", MAP, eps=1e-5), low=999, high=1001)
    in_tensorflow(built("mvn", MAP), low=999, high=1001)


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("reduce", dict(kind="mean", axes=(2, 3))),
        ("reduce", dict(kind="sumsq", axes=(2, 3), keepdims=True)),
        ("reduce", dict(kind="asum", axes=(1, 2, 3))),
        ("avg_pool", dict(kernel=(64, 48), stride=(1, 1))),
        ("avg_pool", dict(kernel=(30, 17), stride=(3, 5), padding=(2, 1, 0, 2), count_include_pad=False)),
        ("instance_norm", {}),
    ],
)
def test_long_sums(in_tensorflow, op, fields):
    in_tensorflow(built(op, (1, 3, 64, 48), **fields), low=0, high=1)
