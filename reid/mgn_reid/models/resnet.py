"""ResNet for images, with the key names of torchvision so that its ImageNet weights fit.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); in a bottleneck the stride sits on the
3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut around them."""

    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _shortcut(inplanes, planes * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last four times as wide, and the shortcut around them."""

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inplanes, planes * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


def _shortcut(inplanes: int, outplanes: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inplanes == outplanes:
        return None
    return nn.Sequential(nn.Conv2d(inplanes, outplanes, 1, stride, bias=False), nn.BatchNorm2d(outplanes))


class ResNet(nn.Module):
    """Stem, four stages of `layers` blocks each, global average pooling and a classifier.

    width: channels of the stem; stage k has 2^(k - 1) times as many, times the block's expansion.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        wide = width * block.expansion
        self.layer1 = _stage(block, width, width, layers[0], 1)
        self.layer2 = _stage(block, wide, 2 * width, layers[1], 2)
        self.layer3 = _stage(block, 2 * wide, 4 * width, layers[2], 2)
        self.layer4 = _stage(block, 4 * wide, 8 * width, layers[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * wide, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def _stage(
    block: type[BasicBlock] | type[Bottleneck], inplanes: int, planes: int, count: int, stride: int
) -> nn.Sequential:
    blocks = [block(inplanes, planes, stride)]
    blocks += [block(planes * block.expansion, planes) for _ in range(1, count)]
    return nn.Sequential(*blocks)


def resnet18(num_classes: int = 1000, width: int = 64) -> ResNet:
    """ResNet-18."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, width)


def resnet50(num_classes: int = 1000, width: int = 64) -> ResNet:
    """ResNet-50."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, width)


def reset_convolutions(network: nn.Module) -> None:
    """The random start of a ResNet: He et al., "Delving Deep into Rectifiers" (ICCV 2015), by fan-out."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def branched_sources(trunk: str, branches: Sequence[str], tail: int) -> dict[str, str]:
    """Module -> module of torchvision's ResNet, for a trunk up to layer3.0 and branches from there on.

    The trunk is a Sequential of conv1, bn1, ReLU, pooling, layer1, layer2 and layer3.0; a branch is one of
    the `tail` other blocks of layer3 and of layer4.
    """
    names = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3.0"}
    found = {f"{trunk}.{i}": source for i, source in names.items()}
    for branch in branches:
        found |= {f"{branch}.0.{i}": f"layer3.{i + 1}" for i in range(tail)}
        found[f"{branch}.1"] = "layer4"
    return found
