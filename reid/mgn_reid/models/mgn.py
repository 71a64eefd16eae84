"""The Multiple Granularity Network.

Wang et al., "Learning Discriminative Features with Multiple Granularities for Person Re-Identification"
(ACM MM 2018), with the module names of the checkpoints that are in use. Three branches see the whole person,
two halves and three thirds; eight reduced vectors make the embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mgn_convert.architecture import Architecture, Option, Shapes
from mgn_convert.preprocess import Preprocessing
from mgn_reid.models.resnet import resnet50

INPUT_SIZE = (384, 128)
_POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class MGN(nn.Module):
    """Images (N, 3, H, W) to the embedding, three global vectors and eight vectors of logits.

    num_classes: identities in the training set.
    pool: "max", as in the paper, or "avg". A checkpoint does not tell which it was trained with.
    activation: "relu" or "prelu", at the end of the reductions.
    features: width of a reduction; the embedding is eight times as wide.
    input_size: (H, W) or "HxW"; H a multiple of 96, W of 32. Raises ValueError otherwise.
    """

    def __init__(
        self,
        num_classes: int = 751,
        pool: str = "max",
        activation: str = "relu",
        features: int = 256,
        input_size: tuple[int, int] | str = INPUT_SIZE,
    ) -> None:
        super().__init__()
        height, width = _map_size(input_size)
        window = _POOLS[pool]
        resnet = resnet50()
        tail, last = resnet.layer3[1:], resnet.layer4
        whole = _without_stride(copy.deepcopy(last))

        stem = (resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.backone = nn.Sequential(*stem, resnet.layer1, resnet.layer2, resnet.layer3[0])
        self.p1 = nn.Sequential(nn.Sequential(*tail), last)
        self.p2 = nn.Sequential(copy.deepcopy(self.p1[0]), whole)
        self.p3 = nn.Sequential(copy.deepcopy(self.p1[0]), copy.deepcopy(whole))

        self.pool_g1 = window((height // 2, width // 2))
        self.pool_g2 = window((height, width))
        self.pool_g3 = window((height, width))
        self.pool_halves = window((height // 2, width))
        self.pool_thirds = window((height // 3, width))

        for k in range(8):
            setattr(self, f"reduction_{k}", _reduction(features, activation))
        for name in HEADS:
            setattr(self, name, nn.Linear(features, num_classes))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(embedding (N, 8 * features), g1, g2, g3 (N, features), eight logits (N, num_classes)).

        The embedding is g1, g2, g3, the halves and the thirds from top to bottom.
        """
        x = self.backone(x)
        p1, p2, p3 = self.p1(x), self.p2(x), self.p3(x)

        zg_p1, zg_p2, zg_p3 = self.pool_g1(p1), self.pool_g2(p2), self.pool_g3(p3)
        zp2 = self.pool_halves(p2)
        z0_p2, z1_p2 = zp2[:, :, 0:1, :], zp2[:, :, 1:2, :]
        zp3 = self.pool_thirds(p3)
        z0_p3, z1_p3, z2_p3 = zp3[:, :, 0:1, :], zp3[:, :, 1:2, :], zp3[:, :, 2:3, :]

        fg_p1 = self.reduction_0(zg_p1).squeeze(dim=3).squeeze(dim=2)
        fg_p2 = self.reduction_1(zg_p2).squeeze(dim=3).squeeze(dim=2)
        fg_p3 = self.reduction_2(zg_p3).squeeze(dim=3).squeeze(dim=2)
        f0_p2 = self.reduction_3(z0_p2).squeeze(dim=3).squeeze(dim=2)
        f1_p2 = self.reduction_4(z1_p2).squeeze(dim=3).squeeze(dim=2)
        f0_p3 = self.reduction_5(z0_p3).squeeze(dim=3).squeeze(dim=2)
        f1_p3 = self.reduction_6(z1_p3).squeeze(dim=3).squeeze(dim=2)
        f2_p3 = self.reduction_7(z2_p3).squeeze(dim=3).squeeze(dim=2)

        vectors = (fg_p1, fg_p2, fg_p3, f0_p2, f1_p2, f0_p3, f1_p3, f2_p3)
        embedding = torch.cat(vectors, dim=1)
        logits = [getattr(self, name)(vector) for name, vector in zip(HEADS, vectors, strict=True)]
        return (embedding, fg_p1, fg_p2, fg_p3, *logits)

    def reset_reductions_and_heads(self) -> None:
        """The random start that training wants for everything that ImageNet weights do not cover."""
        for k in range(8):
            conv, norm = getattr(self, f"reduction_{k}")[:2]
            nn.init.kaiming_normal_(conv.weight, mode="fan_in")
            nn.init.normal_(norm.weight, mean=1.0, std=0.02)
            nn.init.zeros_(norm.bias)
        for name in HEADS:
            head = getattr(self, name)
            nn.init.kaiming_normal_(head.weight, mode="fan_out")
            nn.init.zeros_(head.bias)


HEADS = (
    *(f"fc_id_2048_{i}" for i in range(3)),
    *(f"fc_id_256_1_{i}" for i in range(2)),
    *(f"fc_id_256_2_{i}" for i in range(3)),
)
"""Training's classifiers, in the order of the vectors that they take; each takes `features` numbers."""


def _map_size(input_size: tuple[int, int] | str) -> tuple[int, int]:
    try:
        size = input_size.split("x") if isinstance(input_size, str) else input_size
        height, width = (int(n) for n in size)
    except ValueError:
        raise ValueError(f"input_size is HxW such as 384x128, not {input_size!r}") from None
    if height < 96 or width < 32 or height % 96 or width % 32:
        raise ValueError(f"MGN takes heights that are multiples of 96 and widths of 32, not {height}x{width}")
    return height // 16, width // 16


def _without_stride(stage: nn.Sequential) -> nn.Sequential:
    first: Any = stage[0]
    first.conv2.stride = first.downsample[0].stride = (1, 1)
    return stage


def _reduction(features: int, activation: str) -> nn.Sequential:
    act = {"relu": nn.ReLU, "prelu": lambda: nn.PReLU(features)}[activation]()
    return nn.Sequential(nn.Conv2d(2048, features, 1, bias=False), nn.BatchNorm2d(features), act)


def _infer(shapes: Shapes) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if "reduction_0.0.weight" in shapes:
        found["features"] = shapes["reduction_0.0.weight"][0]
        found["activation"] = "prelu" if "reduction_0.2.weight" in shapes else "relu"
    if f"{HEADS[0]}.weight" in shapes:
        found["num_classes"] = shapes[f"{HEADS[0]}.weight"][0]
    return found


ARCHITECTURE = Architecture(
    name="mgn",
    summary="Multiple Granularity Network, ResNet-50, three branches, 2048 features",
    build=MGN,
    input_shape=(3, *INPUT_SIZE),
    preprocessing=Preprocessing(*INPUT_SIZE, resize="bicubic", color="RGB"),
    options={
        "pool": Option("max", ("max", "avg"), "pooling; checkpoints do not tell it, the paper has max"),
        "activation": Option("relu", ("relu", "prelu"), "end of the reductions; checkpoints tell"),
        "input_size": Option("384x128", (), "HxW of the images; H a multiple of 96, W of 32"),
    },
    infer=_infer,
    output="0",
)
