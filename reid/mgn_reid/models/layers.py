"""Blocks that several networks share: pooling with a power, and what sits inside or between bottlenecks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeM(nn.Module):
    """Generalised mean over a map: (N, C, H, W) to (N, C, 1, 1).

    (mean of max(x, eps)^p)^(1/p); Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human
    Annotation" (TPAMI 2019), equation 2. p = 1 is the mean, p = infinity the maximum.

    learned: p is a parameter (1,), with the key `p`; otherwise it is fixed and has no key.
    """

    def __init__(self, p: float = 3.0, learned: bool = True, eps: float = 1e-6) -> None:
        super().__init__()
        self.p: nn.Parameter | float = nn.Parameter(torch.full((1,), p)) if learned else p
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        powers = x.clamp(min=self.eps).pow(self.p)
        return powers.mean(dim=(2, 3), keepdim=True).pow(1 / self.p)


class InstanceBatchNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the second.

    IBN-a of Pan et al., "Two at Once" (ECCV 2018). The first half is normalised by the image's own mean and
    variance in training and inference alike. (N, C, H, W) to the same shape, H * W > 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.halves = (channels // 2, channels - channels // 2)
        self.IN = nn.InstanceNorm2d(self.halves[0], affine=True)
        self.BN = nn.BatchNorm2d(self.halves[1])

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.split(self.halves, dim=1)
        return torch.cat((self.IN(first), self.BN(second)), dim=1)


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate in 0..1 that the channels' means decide: (N, C, H, W) to the same shape.

    Hu et al., "Squeeze-and-Excitation Networks" (CVPR 2018), without biases.
    """

    def __init__(self, channels: int, ratio: int = 16) -> None:
        super().__init__()
        narrow = channels // ratio
        squeeze = nn.Linear(channels, narrow, bias=False)
        excite = nn.Linear(narrow, channels, bias=False)
        self.fc = nn.Sequential(squeeze, nn.ReLU(inplace=True), excite, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc(x.mean(dim=(2, 3)))
        return x * gate.unsqueeze(2).unsqueeze(3)


class NonLocal(nn.Module):
    """Each position receives a mean over all positions: (N, C, H, W) to the same shape.

    Wang et al., "Non-local Neural Networks" (CVPR 2018), the dot-product form: with theta, phi and g as
    columns over the H * W positions, y = theta phi^T g / (H * W), and the result is x + BN(W y). Here theta,
    phi and g have one channel, so phi^T g is one number per image: y = theta * mean(phi * g), without a
    matrix product.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, 1, 1)
        self.theta = nn.Conv2d(channels, 1, 1)
        self.phi = nn.Conv2d(channels, 1, 1)
        self.W = nn.Sequential(nn.Conv2d(1, channels, 1), nn.BatchNorm2d(channels))
        # Before training, the block passes x on unchanged.
        nn.init.zeros_(self.W[1].weight)
        nn.init.zeros_(self.W[1].bias)

    def forward(self, x: Tensor) -> Tensor:
        agreement = (self.phi(x) * self.g(x)).mean(dim=(2, 3), keepdim=True)
        return x + self.W(self.theta(x) * agreement)


_POOLS = {
    "avg": lambda: nn.AdaptiveAvgPool2d(1),
    "max": lambda: nn.AdaptiveMaxPool2d(1),
    "gem": lambda: GeM(learned=False),
    "gemp": GeM,
}

POOLS = tuple(_POOLS)
"""Global poolings: mean, maximum, generalised mean with p = 3, generalised mean with a learned p."""


def global_pool(kind: str) -> nn.Module:
    """The pooling of POOLS called `kind`: (N, C, H, W) to (N, C, 1, 1)."""
    return _POOLS[kind]()
