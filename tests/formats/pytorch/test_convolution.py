"""rules/convolution.py"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(6, 7, 3),
        nn.Conv2d(6, 9, (3, 1), stride=(2, 1), padding=(1, 2), bias=False),
        nn.Conv2d(6, 9, 3, groups=3, dilation=(2, 1), padding=2),
        nn.Conv2d(6, 6, 3, groups=6, padding=1),
        nn.Conv2d(6, 3, 3, padding="same"),
        nn.Conv2d(6, 3, (4, 3), padding="same"),
        nn.Conv2d(6, 3, 2, padding="same", dilation=3),
        nn.Conv2d(6, 3, 3, padding="valid"),
        nn.ConvTranspose2d(6, 5, 3),
        nn.ConvTranspose2d(
            6, 4, (3, 2), stride=(2, 3), padding=1, output_padding=(1, 0), groups=2, bias=False
        ),
        nn.ConvTranspose2d(6, 5, 3, dilation=2),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 7, 3)),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 7, 3)),
        nn.Sequential(nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(6, 4, 3)),
        nn.Sequential(nn.ConstantPad2d((0, -1, 2, 0), 1.5), nn.ReLU()),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_convolution(agrees, module):
    agrees(module)


def test_weight_norm_is_folded(agrees):
    graph = agrees(nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 7, 3))).graph
    assert [node.op for node in graph] == ["conv"]


def test_two_calls_share_one_weight(agrees):
    conv = nn.Conv2d(6, 6, 3, padding=1)
    graph = agrees(nn.Sequential(conv, nn.ReLU(), conv)).graph
    assert [node.name for node in graph] == ["0", "1", "2"]
    assert graph.node("0").params["weight"] is graph.node("2").params["weight"]
    assert graph.parameter_count() == 6 * 6 * 9 + 6


def test_weights_from_the_image_are_refused(refused):
    message = refused(
        lambda x, w: F.conv2d(x, w * x.mean(dim=(0, 2, 3)).reshape(1, 6, 1, 1)), w=torch.zeros(4, 6, 1, 1)
    )
    assert "mixes or picks the images" in message


@pytest.mark.parametrize(
    "module", [nn.Conv1d(6, 4, 3, 2, 1), nn.Conv1d(6, 6, 2, dilation=2, groups=3, bias=False)], ids=repr
)
def test_one_axis(agrees, module):
    agrees(module, (6, 11))
