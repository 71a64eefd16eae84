"""A network is right if its graph, in float64, gives what PyTorch gives."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from mgn_convert.formats.pytorch.capture import Captured, capture


class Apply(nn.Module):
    """A function of the images, with weights beside it."""

    def __init__(self, function: Callable, **weights: torch.Tensor) -> None:
        super().__init__()
        self.function = function
        for name, weight in weights.items():
            self.register_buffer(name, weight)

    def forward(self, x):
        weights = dict(self.named_buffers(recurse=False))
        return self.function(x, **weights)


def network_of(thing, weights: dict) -> nn.Module:
    network = thing if isinstance(thing, nn.Module) else Apply(thing, **weights)
    torch.manual_seed(5)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim:
            tensor.copy_(torch.rand_like(tensor) + 0.25)
    return network.double().eval()


@pytest.fixture
def agrees():
    """agrees(network or function, shape=(6, 8, 5), **weights) -> Captured, after comparing batch 1 and 3."""

    def check(thing, shape=(6, 8, 5), *, output=None, low=-2.0, high=2.0, **weights) -> Captured:
        network = network_of(thing, weights)
        captured = capture(network, shape, output=output)
        images = np.random.default_rng(7).uniform(low, high, (3, *shape))
        for count in (1, 3):
            with torch.no_grad():
                result = network(torch.from_numpy(images[:count]))
            wanted = [t for t in torch.utils._pytree.tree_leaves(result) if isinstance(t, torch.Tensor)]
            got = captured.graph.run({captured.graph.inputs[0].name: images[:count]})
            if output is None:
                assert len(wanted) == len(captured.program.outputs)
            for array, tensor in zip(got.values(), wanted, strict=output is None):
                assert array.shape == tuple(tensor.shape)
                np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-12, atol=1e-12)
        return captured

    return check


@pytest.fixture
def refused():
    """refused(network or function, shape) -> the message."""

    def check(thing, shape=(6, 8, 5), **weights) -> str:
        from mgn_convert.errors import UnsupportedError

        with pytest.raises(UnsupportedError) as caught:
            capture(network_of(thing, weights), shape)
        return str(caught.value)

    return check
