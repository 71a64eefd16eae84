"""Pads by zeros in front of convolutions."""

import numpy as np
import pytest

from mgn_convert.graph import GraphBuilder
from mgn_convert.passes.padding import fold_padding


def padded(padding, value=0.0, reader="conv"):
    b = GraphBuilder("net")
    x = b.input("x", (1, 3, 7, 6))
    wide = b.add("pad", x, padding=padding, value=value, name="wide")
    weight = np.random.default_rng(0).uniform(-1, 1, (4, 3, 3, 3))
    fields = {"weight": weight, "stride": (2, 1), "padding": (1, 0)} if reader == "conv" else {}
    return b.graph([b.add(reader, wide, name="y", **fields)])


def test_zeros_become_padding_of_the_convolution():
    before = padded((2, 1, 2, 1))
    after = fold_padding(before)
    assert [node.op for node in after] == ["conv"]
    assert after.node("y").attrs["padding"] == (3, 1)
    images = {"x": np.random.default_rng(1).uniform(-1, 1, (3, 3, 7, 6))}
    np.testing.assert_array_equal(after.run(images)["y"], before.run(images)["y"])


@pytest.mark.parametrize(
    "graph",
    [
        padded((1, 1, 2, 1)),
        padded((1, 1, 1, 1), value=0.5),
        padded((-1, 0, -1, 0)),
        padded((1, 1, 1, 1), reader="relu"),
    ],
    ids=["uneven", "not zero", "negative", "another reader"],
)
def test_other_pads_stay(graph):
    assert [node.op for node in fold_padding(graph)] == [node.op for node in graph]
