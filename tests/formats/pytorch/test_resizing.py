"""rules/resizing.py"""

import pytest
import torch.nn.functional as F  # noqa: N812
from torch import nn


@pytest.mark.parametrize(
    "module", [nn.Upsample(scale_factor=2), nn.Upsample(size=(24, 5)), nn.Upsample((8, 15))]
)
def test_nearest_by_whole_factors(agrees, module):
    graph = agrees(module).graph
    assert [node.op for node in graph] == ["conv_transpose"]


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize(
    "size", [{"size": (16, 7)}, {"scale_factor": (2.0, 1.3)}, {"size": (3, 4)}, {"scale_factor": 0.7}]
)
def test_bilinear(agrees, size, align):
    agrees(lambda x: F.interpolate(x, mode="bilinear", align_corners=align, **size))


def test_nearest_by_a_broken_factor_is_refused(refused):
    message = refused(nn.Upsample((12, 5)))
    assert "because  8x5 does not go into 12x5 a whole number of times" in message
    assert "try      a whole scale_factor" in message
