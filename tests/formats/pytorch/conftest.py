"""A network is right if its graph, in float64, gives what PyTorch gives."""

from collections.abc import Callable

import pytest
import torch
from agreement import assert_agreement
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
        assert_agreement(network, captured, shape, low=low, high=high, all_outputs=output is None)
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
