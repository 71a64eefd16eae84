"""Networks whose images leave axis 0: the same numbers, in float64, with every image on axis 0."""

import numpy as np
import pytest
import torch
from torch import nn
from turned_networks import EachChannel, LengthFirst, ShuffledHalves, Sums, Tokens, Windows

from mgn_convert.formats.pytorch.capture import capture
from mgn_convert.graph import Graph, GraphBuilder, with_batch
from mgn_convert.passes.images_first import images_first

NETWORKS = {
    "attention": lambda: Tokens(nn.MultiheadAttention(8, 2, batch_first=True)),
    "encoder": lambda: Tokens(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
    "attention of (L, N, E)": LengthFirst,
    "shuffled halves": ShuffledHalves,
    "windows": Windows,
    "each channel": EachChannel,
    "sums beside the images": Sums,
}


def images_of(graph: Graph, batch: int):
    return {
        graph.inputs[0].name: np.random.default_rng(batch).standard_normal(
            (batch, *graph.inputs[0].shape[1:])
        )
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    torch.manual_seed(3)
    graph = capture(NETWORKS[name]().double().eval(), (8, 6, 4)).graph
    assert any(node.shape[0] != 1 for node in graph)
    turned = images_first(graph)
    assert all(node.shape[0] == 1 for node in turned if node.op != "constant")
    assert turned.outputs == graph.outputs
    for batch in (1, 3):
        wanted, found = (g.run(images_of(g, batch))[g.outputs[0]] for g in (graph, turned))
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_turned_values_are_no_tensors_of_the_original():
    graph = capture(LengthFirst().double().eval(), (8, 6, 4)).graph
    turned = images_first(graph)
    kept = {node.name for node in turned if node.origin.tensor}
    assert kept == {
        n.name for n, m in zip(graph, with_batch(graph, 2), strict=True) if m.shape[0] == 2 == 2 * n.shape[0]
    }


def test_images_that_stay_first_may_stay_merged():
    """Caffe runs twelve images as well as three, and needs the weights once."""
    graph = capture(EachChannel().double().eval(), (8, 6, 4)).graph
    assert images_first(graph, merged=False) is graph
    weights = [sum(w.size for n in g for w in n.params.values()) for g in (graph, images_first(graph))]
    assert weights[1] == 4 * weights[0]
    halves = images_first(capture(ShuffledHalves().double().eval(), (8, 6, 4)).graph, merged=False)
    assert all(node.shape[0] == 1 for node in halves)


def unchanged(build) -> bool:
    b = GraphBuilder("net")
    graph = b.graph([build(b, b.input("data", (1, 4, 3, 2)))])
    return [(n.op, n.shape) for n in images_first(graph)] == [(n.op, n.shape) for n in graph]


def test_what_cannot_be_turned_stays():
    def slopes(b, x):
        y = b.add("prelu", b.add("reshape", x, shape=(-1, 1, 3, 2)), weight=np.ones(1, np.float32))
        return b.add("reshape", y, shape=(-1, 4, 3, 2))

    assert unchanged(slopes)
    assert unchanged(lambda b, x: b.add("permute", x, order=(1, 0, 2, 3)))
    assert unchanged(lambda b, x: b.add("softmax", b.add("reshape", x, shape=(4, -1)), axis=1))
    assert unchanged(lambda b, x: b.add("relu", x))
