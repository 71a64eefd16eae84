"""rules/resizing.py, and of rules/picking.py what resizes."""

import pytest
import torch.nn.functional as F  # noqa: N812
from torch import nn


@pytest.mark.parametrize(
    "module", [nn.Upsample(scale_factor=2), nn.Upsample(size=(24, 5)), nn.Upsample((8, 15))]
)
def test_nearest_by_whole_factors(agrees, module):
    graph = agrees(module).graph
    assert [node.op for node in graph] == ["conv_transpose"]


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize(
    "size", [{"size": (12, 5)}, {"size": (3, 12)}, {"scale_factor": (1.6, 2.3)}, {"scale_factor": (0.7, 2)}]
)
def test_nearest_by_any_factor(agrees, size, mode):
    agrees(lambda x: F.interpolate(x, mode=mode, **size))


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize(
    "size", [{"size": (16, 7)}, {"scale_factor": (2.0, 1.3)}, {"size": (3, 4)}, {"scale_factor": 0.7}]
)
def test_bilinear(agrees, size, align):
    agrees(lambda x: F.interpolate(x, mode="bilinear", align_corners=align, **size))
