"""rules/reduction.py"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean(dim=(2, 3)),
        lambda x: x.mean([-1, -2], keepdim=True),
        lambda x: x.sum(dim=1),
        lambda x: x.amax(dim=(2, 3)),
        lambda x: x.amin(dim=1, keepdim=True),
        lambda x: x.max(dim=1).values,
        lambda x: torch.max(x, 1, keepdim=True)[0],
        lambda x: x.min(dim=2)[0],
        lambda x: x.norm(dim=1),
        lambda x: x.norm(p=1, dim=1, keepdim=True),
        lambda x: torch.linalg.vector_norm(x, dim=(1, 2)),
        lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1),
        F.normalize,
        lambda x: F.normalize(x.flatten(1), p=1, eps=1e-3),
        lambda x: x.flatten(1) / x.flatten(1).norm(2, 1, keepdim=True),
    ],
)
def test_reduction(agrees, function):
    agrees(function)


def test_generalised_mean(agrees):
    """GeM with a trained exponent, which is folded to a number."""

    def gem(x, p):
        return F.avg_pool2d(x.clamp(min=1e-6).pow(p), (x.size(-2), x.size(-1))).pow(1.0 / p)

    graph = agrees(gem, p=torch.zeros(1)).graph
    assert [node.op for node in graph] == ["clip", "power", "avg_pool", "power"]


def test_a_mean_over_everything_is_refused(refused):
    assert "it mixes or picks the images of a batch" in refused(lambda x: x - x.mean())


def test_an_odd_norm_is_refused(refused):
    assert "it is a norm of order 3" in refused(lambda x: x.norm(p=3, dim=1))
