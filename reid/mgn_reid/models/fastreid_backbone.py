"""The ResNet of the fast-reid family: torchvision's, with normalisation, attention and stem of its own.

The last stage keeps its resolution, so a map has 1/16 of the image's height and width.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mgn_convert.preprocess import Preprocessing
from mgn_reid.models.layers import InstanceBatchNorm, NonLocal, SqueezeExcitation
from mgn_reid.models.resnet import Bottleneck
from mgn_reid.models.trainable import Trainable

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Depth -> bottlenecks per stage."""

_NON_LOCAL = {50: (2, 3), 101: (2, 9)}
"""Depth -> how many of the last blocks of stages 2 and 3 a non-local block follows."""

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


class Pixels(Trainable):
    """A network that takes RGB values 0..255 and normalises them by itself.

    keys: pixel_mean and pixel_std (1, 3, 1, 1) are in the state_dict, as early versions had it.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, keys: bool) -> None:
        super().__init__()
        for name, values in (("pixel_mean", PIXEL_MEAN), ("pixel_std", PIXEL_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=keys)

    def normalised(self, x: Tensor) -> Tensor:
        """(x - mean) / std per channel, (N, 3, H, W)."""
        return (x - self.pixel_mean) / self.pixel_std


def raw_pixels(height: int, width: int) -> Preprocessing:
    """Pictures as a network takes them that normalises by itself: resized RGB values 0..255."""
    return Preprocessing(height, width, "bicubic", "RGB", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Block(Bottleneck):
    """ResNet's bottleneck, with IBN-a for the first normalisation and a gate on the last, if wanted."""

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, ibn: bool = False, se: bool = False
    ) -> None:
        super().__init__(inplanes, planes, stride)
        if ibn:
            self.bn1 = InstanceBatchNorm(planes)
        self.se = SqueezeExcitation(planes * self.expansion) if se else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.se(self.bn3(self.conv3(out)))
        out += identity
        return self.relu(out)


def stem(ceil: bool) -> tuple[nn.Module, ...]:
    """Convolution, normalisation, ReLU and pooling: (N, 3, H, W) to (N, 64, H / 4, W / 4).

    ceil: the pooling pads at the bottom and on the right alone, as far as its last window reaches; otherwise
    by one on every side. Sizes agree where H and W are multiples of 4, values do not.
    """
    pool = nn.MaxPool2d(3, 2, ceil_mode=True) if ceil else nn.MaxPool2d(3, 2, 1)
    return nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), pool


def stage(number: int, stride: int, depth: int = 50, ibn: bool = False, se: bool = False) -> nn.Sequential:
    """layer1 to layer4 by their number; the last has no IBN whatever `ibn` says."""
    planes = 32 << number
    inplanes = 64 if number == 1 else planes * 2
    ibn = ibn and number < 4
    count = BLOCKS[depth][number - 1]
    blocks = [Block(inplanes, planes, stride, ibn, se)]
    blocks += [Block(planes * Block.expansion, planes, 1, ibn, se) for _ in range(1, count)]
    return nn.Sequential(*blocks)


class Backbone(nn.Module):
    """Normalised images (N, 3, H, W) to maps (N, 2048, H / 16, W / 16).

    depth: 50 or 101.  ibn, se: see Block.  ceil: see stem.
    non_local: non-local blocks follow the last bottlenecks of layer2 and layer3.
    """

    def __init__(self, depth: int, ibn: bool, se: bool, non_local: bool, ceil: bool) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu, self.maxpool = stem(ceil)
        self.layer1 = stage(1, 1, depth, ibn, se)
        self.layer2 = stage(2, 2, depth, ibn, se)
        self.layer3 = stage(3, 2, depth, ibn, se)
        self.layer4 = stage(4, 1, depth, ibn, se)
        second, third = _NON_LOCAL[depth] if non_local else (0, 0)
        self.NL_2 = nn.ModuleList(NonLocal(512) for _ in range(second))
        self.NL_3 = nn.ModuleList(NonLocal(1024) for _ in range(third))

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer1(x)
        x = _interleaved(self.layer2, self.NL_2, x)
        x = _interleaved(self.layer3, self.NL_3, x)
        return self.layer4(x)


def _interleaved(blocks: nn.Sequential, attention: nn.ModuleList, x: Tensor) -> Tensor:
    """The blocks in turn, with one block of attention after each of the last ones."""
    plain = len(blocks) - len(attention)
    after: Iterable[nn.Module] = (*[nn.Identity()] * plain, *attention)
    for block, attend in zip(blocks, after, strict=True):
        x = attend(block(x))
    return x
