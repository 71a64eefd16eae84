"""rules/activation.py"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

SIGNED = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.LeakyReLU(0.13),
    nn.PReLU(),
    nn.PReLU(6),
    nn.ELU(0.7),
    nn.SELU(),
    nn.CELU(1.0),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.SiLU(),
    nn.Mish(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Hardtanh(-0.3, 0.9),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.Softplus(),
    nn.Softplus(beta=2.5),
    nn.Softmax(dim=1),
    nn.Softmax(dim=-1),
]


@pytest.mark.parametrize("module", SIGNED, ids=repr)
def test_activation(agrees, module):
    agrees(module)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.clamp(-0.5, 0.7),
        lambda x: x.clamp(min=0.1),
        lambda x: torch.clamp_max(x, 0.2),
        F.hardtanh,
        lambda x: x.abs().neg().exp(),
        lambda x: x.pow(2),
        lambda x: x**3,
        lambda x: x.square(),
        lambda x: F.relu_(x * 1.0),
        lambda x: F.log_softmax(x, dim=1).exp(),
        F.softsign,
        F.logsigmoid,
    ],
)
def test_function_of_any_number(agrees, function):
    agrees(function)


@pytest.mark.parametrize(
    "function",
    [torch.log, torch.sqrt, torch.rsqrt, torch.reciprocal, lambda x: x**-1.5, lambda x: x.pow(0.3)],
)
def test_function_of_positive_numbers(agrees, function):
    agrees(function, low=0.1)


def test_prelu_shares_one_slope(agrees):
    graph = agrees(nn.PReLU()).graph
    assert graph.nodes[0].params["weight"].shape == ()


def test_softmax_over_the_batch_is_refused(refused):
    assert "it mixes or picks the images of a batch" in refused(lambda x: torch.softmax(x, dim=0))
