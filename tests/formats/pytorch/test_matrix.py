"""rules/matrix.py"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class NonLocal(nn.Module):
    """Attention between places, as re-identification networks have it."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = nn.Conv2d(6, 2, 1), nn.Conv2d(6, 2, 1), nn.Conv2d(6, 6, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        n, c, *size = x.size()
        query = self.query(x).view(n, -1, size[0] * size[1]).permute(0, 2, 1)
        affinity = torch.softmax(torch.bmm(query, self.key(x).view(n, 2, -1)), dim=-1)
        out = torch.bmm(self.value(x).view(n, c, -1), affinity.permute(0, 2, 1))
        return self.gamma * out.view(n, c, *size) + x


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


@pytest.mark.parametrize(
    "thing",
    [
        nn.Linear(5, 7),
        nn.Sequential(nn.Flatten(), nn.Linear(240, 9, bias=False)),
        NonLocal(),
        Heads(),
        lambda x: x @ x.transpose(2, 3),
        lambda x: torch.matmul(x, x.mT).softmax(-1),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: F.scaled_dot_product_attention(x, x, x, scale=0.3),
    ],
)
def test_products(agrees, thing):
    agrees(thing)


def test_a_constant_on_either_side(agrees):
    agrees(lambda x, w: x @ w, w=torch.zeros(5, 3))
    agrees(lambda x, w: w @ x, w=torch.zeros(4, 8))
    agrees(lambda x, w, b: torch.addmm(b, x.flatten(1), w), w=torch.zeros(240, 3), b=torch.zeros(3))


@pytest.mark.parametrize(
    ("equation", "channels"),
    [
        ("nchw,ndhw->ncd", 4),
        ("nchw,nchw->nc", 6),
        ("nchw,nchw->nwhc", 6),
        ("nchw,ncdw->nchd", 6),
        ("nchw,ndhw->ndc", 4),
        ("nchw,ndkl->nchwdkl", 1),
    ],
)
def test_einsum_of_two_values(agrees, equation, channels):
    assert agrees(lambda x: torch.einsum(equation, x, x[:, :channels] * 0.5)).any_batch


@pytest.mark.parametrize("equation", ["nchw,dc->ndhw", "nchw,dc->nhwd", "nchw,dc->nchwd"])
def test_einsum_with_a_constant(agrees, equation):
    assert agrees(lambda x, w: torch.einsum(equation, x, w), w=torch.ones(4, 6)).any_batch
    other = ",".join(reversed(equation.split("->")[0].split(","))) + "->" + equation.split("->")[1]
    assert agrees(lambda x, w: torch.einsum(other, w, x), w=torch.ones(4, 6)).any_batch


@pytest.mark.parametrize("equation", ["nchw,mchw->cnm", "nchw,nchw->chw"])
def test_einsum_over_images_is_refused(refused, equation):
    message = refused(lambda x: torch.einsum(equation, x, x))
    assert "axis 0 of its operands and its result does not hold the images" in message
