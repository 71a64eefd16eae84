"""rules/normalization.py"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


@pytest.mark.parametrize(
    "module",
    [
        nn.BatchNorm2d(6, eps=3e-4),
        nn.BatchNorm2d(6, affine=False),
        nn.InstanceNorm2d(6, eps=0.02, affine=True),
        nn.InstanceNorm2d(6),
        nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(6)),
    ],
    ids=repr,
)
def test_normalization(agrees, module):
    graph = agrees(module).graph
    assert graph.nodes[-1].op in ("batch_norm", "instance_norm")


def test_half_instance_half_batch(agrees):
    class IBN(nn.Module):
        def __init__(self):
            super().__init__()
            self.instance, self.batch = nn.InstanceNorm2d(3, affine=True), nn.BatchNorm2d(4)

        def forward(self, x):
            first, rest = torch.split(x, [3, 4], 1)
            return torch.cat([self.instance(first.contiguous()), self.batch(rest.contiguous())], 1)

    graph = agrees(IBN(), (7, 8, 5)).graph
    assert [node.name for node in graph] == ["slice", "slice_1", "instance", "batch", "cat"]


def test_training_mode_is_refused(refused):
    message = refused(
        lambda x, m, v: F.batch_norm(x, m, v, training=True), m=torch.zeros(6), v=torch.zeros(6)
    )
    assert message.startswith("a batch norm runs in training mode")
    assert "  try      .eval() before torch.export" in message


def test_statistics_of_the_batch_are_refused(refused):
    message = refused(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6, track_running_stats=False)))
    assert "  at       1" in message
    assert "it normalises by the statistics of the batch" in message


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.LayerNorm([8, 5], eps=0.02), (6, 8, 5)),
        (nn.LayerNorm(5), (6, 8, 5)),
        (nn.LayerNorm(5, elementwise_affine=False), (6, 8, 5)),
        (nn.LayerNorm(5, bias=False), (6, 8, 5)),
        (nn.LayerNorm([6, 8, 5]), (6, 8, 5)),
        (nn.LayerNorm(7), (4, 7)),
        (nn.LayerNorm(7), (7,)),
        (nn.GroupNorm(3, 6, eps=0.02), (6, 8, 5)),
        (nn.GroupNorm(1, 6, affine=False), (6, 8, 5)),
        (nn.GroupNorm(2, 6), (6,)),
    ],
    ids=repr,
)
def test_layer_and_group_norm(agrees, module, shape):
    graph = agrees(module, shape).graph
    affine = any(True for _ in module.parameters())
    assert [n.op for n in graph if n.op != "reshape"] == ["instance_norm", *["scale"] * affine]


def test_normalising_over_the_batch_is_refused(refused):
    message = refused(lambda x: F.layer_norm(x, x.shape))
    assert "it mixes or picks the images of a batch" in message
