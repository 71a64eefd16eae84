"""MGN with joint spatial and channel attention after the first two stages of its backbone.

The attention is x + x * relu(channel(x) + place(x)): a squeeze-and-excitation gate per channel (Hu et al.,
"Squeeze-and-Excitation Networks", CVPR 2018) and a small encoder and decoder that weighs every position. The
rest is the network of `mgn_reid.models.mgn` with the module names of the published code: one Sequential more
around the tails of stage 3, whose blocks count from 1, and a copy of stages 3 and 4 that nothing ever enters.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import relu

from mgn_convert.architecture import Architecture, Option, Shapes
from mgn_reid.models.mgn import ARCHITECTURE as MGN_ARCHITECTURE
from mgn_reid.models.mgn import INPUT_SIZE, MGN

UNUSED = {
    "layer3_1.": "forward never enters the first copy of stage 3",
    "layer4.": "forward never enters the first copy of stage 4",
}


class ChannelGate(nn.Module):
    """Squeeze and excitation without the final product: (N, C, H, W) to (N, C, 1, 1) between 0 and 1."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))[:, :, None, None]


class PlaceWeights(nn.Module):
    """A weight per position: (N, C, H, W) to (N, 1, H, W).

    Convolutions without padding and one 2 x 2 pooling narrow the map; transposed convolutions, and unpooling
    to where the maxima were, widen it to its old size. H and W are at least 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels // 32
        self.conv_in = nn.Conv2d(channels, c, 1)
        self.conv1 = nn.Conv2d(c, 2 * c, 3)
        self.bn1 = nn.BatchNorm2d(2 * c)
        self.pool1 = nn.MaxPool2d(2, return_indices=True)
        self.conv2 = nn.Conv2d(2 * c, 4 * c, 3)
        self.bn2 = nn.BatchNorm2d(4 * c)
        self.deconv1 = nn.ConvTranspose2d(4 * c, 2 * c, 3)
        self.bn3 = nn.BatchNorm2d(2 * c)
        self.unpool1 = nn.MaxUnpool2d(2)
        self.deconv2 = nn.ConvTranspose2d(2 * c, c, 3)
        self.bn4 = nn.BatchNorm2d(c)
        self.conv_out = nn.Conv2d(c, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = relu(self.bn1(self.conv1(self.conv_in(x))))
        x, places = self.pool1(wide)
        x = relu(self.bn2(self.conv2(x)))
        x = relu(self.bn3(self.deconv1(x)))
        x = self.unpool1(x, places, output_size=wide.shape[2:])
        x = relu(self.bn4(self.deconv2(x)))
        return self.conv_out(x)


class JointAttention(nn.Module):
    """x + x * relu(channel gate + place weights), of the shape of x."""

    def __init__(self, channels: int, hidden: int = 16) -> None:
        super().__init__()
        self.se = ChannelGate(channels, hidden)
        self.stn = PlaceWeights(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + x * relu(self.se(x) + self.stn(x))


class AttentionMGN(MGN):
    """MGN whose backbone attends after stages 1 and 2; its options and outputs are those of MGN.

    Unlike MGN it wants images at least 64 wide, so that the second attention has room for its convolutions.
    Raises ValueError otherwise.
    """

    def __init__(
        self,
        num_classes: int = 751,
        pool: str = "avg",
        activation: str = "prelu",
        features: int = 256,
        input_size: tuple[int, int] | str = INPUT_SIZE,
    ) -> None:
        super().__init__(num_classes, pool, activation, features, input_size)
        if self.pool_g2.kernel_size[1] < 4:
            raise ValueError(f"MGN with attention takes images at least 64 wide, not {input_size}")
        trunk = self.backone
        self.backone = trunk[:5]
        self.attention1 = JointAttention(256)
        self.layer2 = trunk[5]
        self.attention2 = JointAttention(512)
        self.layer3_0 = trunk[6]
        self.layer3_1 = _counted_from_one(copy.deepcopy(self.p1[0]))
        self.layer4 = copy.deepcopy(self.p1[1])
        for branch in (self.p1, self.p2, self.p3):
            branch[0] = nn.Sequential(_counted_from_one(branch[0]))

    def imagenet_sources(self) -> Mapping[str, str]:
        stem = {"backone.0": "conv1", "backone.1": "bn1", "backone.4": "layer1"}
        stages = {"layer2": "layer2", "layer3_0": "layer3.0", "layer4": "layer4"}
        tails = ("layer3_1", "p1.0.0", "p2.0.0", "p3.0.0")
        blocks = {f"{tail}.{i}": f"layer3.{i}" for tail in tails for i in range(1, 6)}
        return {**stem, **stages, **blocks, **{f"p{b}.1": "layer4" for b in (1, 2, 3)}}

    def shared_map(self, x: Tensor) -> Tensor:
        x = self.attention1(self.backone(x))
        return self.layer3_0(self.attention2(self.layer2(x)))


def _counted_from_one(stage: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(OrderedDict((str(i), block) for i, block in enumerate(stage, start=1)))


def _infer(shapes: Shapes) -> Mapping[str, Any]:
    """What MGN's keys tell, but for how its relatives differ."""
    told = MGN_ARCHITECTURE.infer(shapes)
    return {key: told[key] for key in ("features", "activation", "num_classes") if key in told}


ARCHITECTURE = Architecture(
    name="mgn-attention",
    summary="MGN with spatial and channel attention after stages 1 and 2, 2048 features",
    build=AttentionMGN,
    input_shape=MGN_ARCHITECTURE.input_shape,
    preprocessing=MGN_ARCHITECTURE.preprocessing,
    options={
        "pool": Option(
            "avg", ("max", "avg"), "pooling; checkpoints do not tell it, published training has avg"
        ),
        "activation": replace(MGN_ARCHITECTURE.options["activation"], default="prelu"),
        "input_size": Option("384x128", (), "HxW of the images; H a multiple of 96, W of 32 and at least 64"),
    },
    infer=_infer,
    ignored=UNUSED,
    output="0",
    embedding=MGN_ARCHITECTURE.embedding,
)
