"""Networks whose images leave axis 0 on the way: as heads, windows, halves, or behind the tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Tokens(nn.Module):
    """The columns of a map through `inner`, as (N, L, E)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        return self.inner(x, x, x)[0] if isinstance(self.inner, nn.MultiheadAttention) else self.inner(x)


class LengthFirst(nn.Module):
    """Attention on (L, N, E), as most of it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).permute(2, 0, 1)
        return (self.attention(x, x, x)[0] + x).mean(0)


class ShuffledHalves(nn.Module):
    """Channels dealt to two halves on a new first axis."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
        return torch.cat((x[0].relu(), x[1]), 1)


class Windows(nn.Module):
    """Attention inside windows of 2 x 2 cells, with a bias for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.bias = nn.Parameter(torch.randn(2, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, c)
        q, k, v = self.qkv(x).reshape(-1, 4, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        x = (q @ k.transpose(-2, -1) + self.bias).softmax(-1) @ v
        return (
            x.transpose(1, 2)
            .reshape(n, h // 2, w // 2, 2, 2, c)
            .permute(0, 5, 1, 3, 2, 4)
            .reshape(n, c, h, w)
        )


class EachChannel(nn.Module):
    """Every channel of every image as an image of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(2, 4, 3, 2, groups=2), nn.BatchNorm2d(4), nn.InstanceNorm2d(4))
        self.back = nn.ConvTranspose2d(4, 2, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = self.back(self.conv(x.reshape(n * c // 2, 2, h, w)).tanh())
        x = functional.max_pool2d(x, 2, 1)
        return functional.avg_pool2d(x, 3, 1, padding=1).reshape(n, -1) * 2


class Sums(nn.Module):
    """Sums over and beside the images' axis."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).permute(2, 0, 1) * 0.5
        x = torch.cat((x, x.tanh()), 2)
        return (x.sum(0) - x.amax(2).transpose(0, 1).sum(1, keepdim=True)).relu()
