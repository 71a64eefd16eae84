"""rules/pooling.py"""

import pytest
import torch.nn.functional as F  # noqa: N812
from torch import nn


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(3, 2, 1), ((3, 2), (2, 3), (1, 0)), (2, 2, 0), (3, 3, 1), ((8, 5), None, 0), (2, 3, 1)],
)
@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_windows(agrees, kind, kernel, stride, padding, ceil):
    agrees(kind(kernel, stride, padding, ceil_mode=ceil))


@pytest.mark.parametrize(
    "module",
    [
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, divisor_override=7),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveMaxPool2d(1),
        nn.AdaptiveAvgPool2d((4, 1)),
        nn.AdaptiveMaxPool2d((2, 5)),
        nn.AdaptiveAvgPool2d((None, 1)),
    ],
    ids=repr,
)
def test_other_pooling(agrees, module):
    agrees(module)


def test_values_of_a_pool_with_indices(agrees):
    agrees(lambda x: F.max_pool2d(x, 2, return_indices=True)[0])


def test_uneven_adaptive_pooling_is_refused(refused):
    message = refused(nn.AdaptiveAvgPool2d((3, 1)))
    assert "its windows are of different sizes: 8x5 does not divide into 3x1" in message
    assert "got      Nx6x8x5 -> Nx6x3x1" in message


def test_indices_are_refused(refused):
    pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    message = refused(lambda x: unpool(*pool(x)))
    assert "aten.max_unpool2d" in message


def test_dilation_is_refused(refused):
    assert "dilated pooling, dilation (2, 2)" in refused(nn.MaxPool2d(2, dilation=2))
