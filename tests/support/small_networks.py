"""Networks for tests: small, with every construction that MGN has."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    """A residual block with a strided 1x1 shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside, eps=3e-4)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(
            nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.downsample(x)
        return self.relu(out)


class SmallMGN(nn.Module):
    """Stem, one block, a global and a two-part branch; takes N x 3 x 48 x 16, gives N x 24 and a logit."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 10, 7, 2, 3, bias=False), nn.BatchNorm2d(10), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.block = Block(10, 14, 2)
        self.whole = nn.MaxPool2d((6, 2))
        self.parts = nn.MaxPool2d((3, 2))
        self.reductions = nn.ModuleList(
            nn.Sequential(nn.Conv2d(14, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(3)
        )
        self.classifier = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.block(self.stem(x))
        parts = self.parts(x)
        pooled = [self.whole(x), parts[:, :, 0:1, :], parts[:, :, 1:2, :]]
        reduced = [r(p).squeeze(dim=3).squeeze(dim=2) for r, p in zip(self.reductions, pooled, strict=True)]
        return torch.cat(reduced, dim=1), self.classifier(reduced[0])


def calibrated(network: nn.Module, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    """The network in eval mode with seeded weights and batch norms that fit its activations."""
    torch.manual_seed(seed)
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    with torch.no_grad():
        network.train()(torch.randn(8, *shape))
    return network.eval()


def small_mgn() -> nn.Module:
    """The factory that tests name on the command line."""
    return calibrated(SmallMGN(), (3, 48, 16))


class ThreeTroubles(nn.Module):
    """Three calls that no rule can express."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.grid_sample(x, torch.zeros(x.shape[0], 4, 4, 2))
        x = torch.cumsum(x, dim=2)
        return torch.erfinv(x) + torch.fft.rfft(x).real.sum()


def three_troubles() -> nn.Module:
    """A factory whose network must be refused."""
    return ThreeTroubles().eval()


class Chooser(nn.Module):
    """Gives the maps of the channel with the greatest sum; channel 0 wins by a hair over 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scores, self.maps = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best = self.scores(x).sum(dim=(2, 3)).topk(1, dim=1).indices
        maps = self.maps(x)
        return maps.gather(1, best[:, :, None, None].expand(-1, -1, *maps.shape[2:]))


def chooser() -> nn.Module:
    """The factory of a network that a rounding error can turn over."""
    torch.manual_seed(0)
    network = Chooser()
    with torch.no_grad():
        network.scores.weight[1] = network.scores.weight[0]
        network.scores.bias[:] = torch.tensor([1.0 + 2e-6, 1.0, 0.0, 0.0])
    return network.eval()
