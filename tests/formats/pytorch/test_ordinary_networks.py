"""Networks of the common kinds, through every rule that they need, at any batch."""

import numpy as np
import pytest
import torch
from agreement import assert_agreement
from ordinary_networks import ORDINARY
from small_networks import calibrated

from mgn_convert.formats.pytorch.capture import capture
from mgn_convert.formats.pytorch.network import Loaded
from mgn_convert.formats.pytorch.runner import PyTorchRunner

SHAPE = (3, 32, 24)


@pytest.mark.parametrize("name", ORDINARY)
def test_a_network_becomes_an_equal_graph(name):
    network = calibrated(ORDINARY[name](), SHAPE).double()
    captured = capture(network, SHAPE, name=name)
    assert captured.any_batch
    assert_agreement(network, captured, SHAPE, tolerance=1e-11)
    images = np.random.default_rng(3).standard_normal((2, *SHAPE))
    with PyTorchRunner(Loaded(captured), torch.float64) as runner:
        wanted = runner.run(images, taps=runner.tensors)
        last = runner.tensors[-1]
        alone = runner.run_isolated(last, {k: v for k, v in wanted.items() if k != last})
    found = captured.graph.run({captured.graph.inputs[0].name: images}, taps=runner.tensors)
    for tensor in runner.tensors:
        np.testing.assert_allclose(found[tensor], wanted[tensor], rtol=1e-11, atol=1e-11, err_msg=tensor)
    np.testing.assert_allclose(alone, wanted[last], rtol=1e-12)


def test_the_parts_of_a_transformer():
    """The class token is 0 * x + token; queries, keys and values are cut before the permutation."""
    graph = capture(ORDINARY["vit"](), SHAPE).graph
    ops = [node.op for node in graph]
    assert ops[:7] == ["conv", "reshape", "permute", "slice", "power", "scale", "concat"]
    assert ops.count("softmax") == 2
    assert all(node.shape[0] == 1 for node in graph)
    assert all(node.origin.source.startswith("ordinary_networks.py:") for node in graph)


def test_the_class_token_is_isolated_for_as_many_images_as_there_are():
    captured = capture(ORDINARY["vit"]().double(), SHAPE)
    images = np.random.default_rng(3).standard_normal((3, *SHAPE))
    with PyTorchRunner(Loaded(captured), torch.float64) as runner:
        found = runner.run(images, taps=("transpose", "cat"))
        alone = runner.run_isolated("cat", {"transpose": found["transpose"]})
    np.testing.assert_array_equal(alone, found["cat"])
