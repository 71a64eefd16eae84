"""Networks that are not of the re-ID family, tiny: each has the constructions of its kind."""

from __future__ import annotations

from collections.abc import Callable

import torch
from small_networks import calibrated
from torch import Tensor, nn
from torch.nn import functional
from turned_networks import ShuffledHalves, Tokens, Windows


def _unit(inside: int, outside: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen, a filter per channel, narrow without activation."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        wide = 3 * inside
        narrow = nn.Sequential(nn.Conv2d(wide, outside, 1, bias=False), nn.BatchNorm2d(outside))
        self.conv = nn.Sequential(_unit(inside, wide, 1), _unit(wide, wide, 3, stride, wide), *narrow)
        self.joins = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.joins else self.conv(x)


def mobile_net() -> nn.Module:
    """MobileNetV2-like, ends in a pooling to uneven windows."""
    blocks = (InvertedResidual(8, 8, 1), InvertedResidual(8, 11, 2), InvertedResidual(11, 11, 1))
    return nn.Sequential(
        _unit(3, 8, 3, 2),
        *blocks,
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(66, 7),
    )


class Gate(nn.Module):
    """Squeeze and excitation by 1x1 convolutions, with a bias and a hard sigmoid if wanted."""

    def __init__(self, channels: int, hard: bool = False) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        self.gate: nn.Module = nn.Hardsigmoid() if hard else nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(functional.relu(self.fc1(self.pool(x)))))


class GatedResidual(nn.Module):
    """SE-ResNet's block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, groups=2, bias=False), nn.BatchNorm2d(channels)
        )
        self.gate = Gate(channels, hard=True)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x + self.gate(self.body(x)))


def gated_net() -> nn.Module:
    """SE-ResNet-like."""
    blocks = (GatedResidual(10), nn.AvgPool2d(2, 2, ceil_mode=True), GatedResidual(10))
    return nn.Sequential(
        _unit(3, 10, 7, 2), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(10, 6)
    )


def _light(channels: int) -> nn.Sequential:
    """OSNet's light convolution: 1x1, then a filter per channel."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class OmniScale(nn.Module):
    """OSNet's block: four streams of growing reach, joined by ONE gate that they share."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        middle = outside // 4
        self.conv1 = _unit(inside, middle, 1)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_light(middle) for _ in range(reach))) for reach in (1, 2, 3, 4)
        )
        self.gate = Gate(middle)
        self.conv3 = nn.Sequential(
            nn.Conv2d(middle, outside, 1, bias=False), nn.InstanceNorm2d(outside, affine=True)
        )
        self.downsample = nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(x)
        joined = sum(self.gate(stream(narrow)) for stream in self.streams)
        return functional.relu(self.conv3(joined) + self.downsample(x))


def omni_scale_net() -> nn.Module:
    """OSNet-like, with a BNNeck on the vector."""
    blocks = (OmniScale(9, 12), nn.MaxPool2d(3, 2, 1), OmniScale(12, 20))
    neck = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 8), nn.BatchNorm1d(8), nn.ReLU())
    return nn.Sequential(_unit(3, 9, 7, 2), *blocks, *neck)


class ChannelsLast(nn.LayerNorm):
    """Layer norm over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """A filter per channel, layer norm, two linear layers over the last axis, and a weight per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(functional.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Two stages; the vector is normalised before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 4, 4), ChannelsLast(6, eps=1e-6))
        self.down = nn.Sequential(ChannelsLast(6, eps=1e-6), nn.Conv2d(6, 10, 2, 2))
        self.stages = nn.ModuleList([ConvNextBlock(6), ConvNextBlock(10)])
        self.norm, self.head = nn.LayerNorm(10, eps=1e-6), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[1](self.down(self.stages[0](self.stem(x))))
        return self.head(self.norm(x.mean([-2, -1])))


class Attention(nn.Module):
    """Queries, keys and values from one layer; the product by hand or by PyTorch's own call."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        parts = self.qkv(x).reshape(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v)
        else:
            y = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.proj(y.transpose(1, 2).reshape(n, length, width))


class Encoder(nn.Module):
    """A layer of a vision transformer, normalised before each part."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, fused)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches of 8 x 8, a class token and learned places; takes N x 3 x 32 x 24."""

    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 13, width))
        self.blocks = nn.Sequential(Encoder(width, heads, True), Encoder(width, heads, False))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def _turned(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(_unit(3, 8, 3, 2), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def encoder_net() -> nn.Module:
    """PyTorch's own encoder layer, which puts the images behind the tokens."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(_unit(3, 8, 3, 4), Tokens(layer), nn.Flatten(), nn.Linear(384, 5))


def _resnet(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from mgn_reid.models import resnet

        if name == "resnet18":
            return resnet.resnet18(7)
        return resnet.ResNet(resnet.Bottleneck, (1, 2, 1, 1), 7)

    return build


ORDINARY: dict[str, Callable[[], nn.Module]] = {
    "resnet18": _resnet("resnet18"),
    "resnet50": _resnet("resnet50"),
    "mobilenet": mobile_net,
    "seresnet": gated_net,
    "osnet": omni_scale_net,
    "convnext": ConvNext,
    "vit": VisionTransformer,
    "encoder": encoder_net,
    "shufflenet": lambda: _turned(ShuffledHalves(), _unit(8, 8), ShuffledHalves()),
    "swin": lambda: _turned(Windows(), _unit(8, 8)),
}
"""Name -> a network for images N x 3 x 32 x 24. ResNet-50 has fewer blocks than it is called after."""


def __getattr__(name: str) -> Callable[[], nn.Module]:
    """Factories for the command line: `ordinary_networks:calibrated_<name>`."""
    if not name.startswith("calibrated_") or name.removeprefix("calibrated_") not in ORDINARY:
        raise AttributeError(name)
    return lambda: calibrated(ORDINARY[name.removeprefix("calibrated_")](), (3, 32, 24))
