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
from mgn_convert.packaging import Clients, Names
from mgn_convert.preprocess import Preprocessing
from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.models.resnet import BasicBlock, branched_sources, reset_convolutions, resnet18, resnet50
from mgn_reid.models.trainable import Trainable

INPUT_SIZE = (384, 128)
_POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
_RESNETS = {50: resnet50, 18: resnet18}


class MGN(Trainable):
    """Images (N, 3, H, W) to the embedding, three global vectors and eight vectors of logits.

    num_classes: identities in the training set.
    pool: "max", as in the paper, or "avg". A checkpoint does not tell which it was trained with.
    activation: "relu" or "prelu", at the end of the reductions.
    features: width of a reduction; the embedding is eight times as wide.
    tied: whether the eight reductions are one, with the keys `reduction.*`.
    trunk: name of what the branches share, "backone" or "backbone".
    input_size: (H, W) or "HxW"; H a multiple of 96, W of 32. Raises ValueError otherwise.
    depth: layers of the ResNet, 50 or 18.  width: channels of its stem, 64 in all that is published.
    """

    def __init__(
        self,
        num_classes: int = 751,
        pool: str = "max",
        activation: str = "relu",
        features: int = 256,
        input_size: tuple[int, int] | str = INPUT_SIZE,
        tied: bool = False,
        trunk: str = "backone",
        depth: int = 50,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.input_size = image_size(input_size, "MGN", (96, 32))
        resnet = _RESNETS[depth](width=width)
        tail, last = resnet.layer3[1:], resnet.layer4
        whole = _without_stride(copy.deepcopy(last))

        stem = (resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.trunk = trunk
        setattr(self, trunk, nn.Sequential(*stem, resnet.layer1, resnet.layer2, resnet.layer3[0]))
        self.p1 = nn.Sequential(nn.Sequential(*tail), last)
        self.p2 = nn.Sequential(copy.deepcopy(self.p1[0]), whole)
        self.p3 = nn.Sequential(copy.deepcopy(self.p1[0]), copy.deepcopy(whole))

        window, (rows, columns) = _POOLS[pool], (n // 16 for n in self.input_size)
        self.pool_g1 = window((rows // 2, columns // 2))
        self.pool_g2 = window((rows, columns))
        self.pool_g3 = window((rows, columns))
        self.pool_halves = window((rows // 2, columns))
        self.pool_thirds = window((rows // 3, columns))

        for name in ["reduction"] if tied else [f"reduction_{k}" for k in range(8)]:
            setattr(self, name, _reduction(resnet.fc.in_features, features, activation))
        for name in HEADS:
            setattr(self, name, nn.Linear(features, num_classes))

    def shared_map(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to what the three branches take, (N, 1024, H / 16, W / 16)."""
        return getattr(self, self.trunk)(x)

    def reductions(self) -> list[nn.Module]:
        """Eight, in the order of the embedding; the same one eight times if they are tied."""
        tied = getattr(self, "reduction", None)
        return [tied or getattr(self, f"reduction_{k}") for k in range(8)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(embedding (N, 8 * features), g1, g2, g3 (N, features), eight logits (N, num_classes)).

        The embedding is g1, g2, g3, the halves and the thirds from top to bottom.
        """
        vectors = self._reduced(self._pooled(x))
        logits = [getattr(self, name)(vector) for name, vector in zip(HEADS, vectors, strict=True)]
        return (torch.cat(vectors, dim=1), *vectors[:3], *logits)

    def training_outputs(self, images: Tensor) -> TrainingOutputs:
        """Vectors g1 to p3c (N, features), and pooled_g1 to pooled_g3 before their reduction (N, 2048).

        Classified are g1 to p3c.
        """
        pooled = self._pooled(images)
        vectors = dict(zip(VECTORS, self._reduced(pooled), strict=True))
        heads = {name: getattr(self, head) for name, head in zip(VECTORS, HEADS, strict=True)}
        classified = {name: Scored(vectors[name], head.weight, head.bias) for name, head in heads.items()}
        whole = {f"pooled_{name}": p.flatten(1) for name, p in zip(VECTORS[:3], pooled[:3], strict=True)}
        return TrainingOutputs({**vectors, **whole}, classified)

    def reset_for_training(self) -> None:
        """The branches start equal, as they do from ImageNet's weights."""
        reset_convolutions(self)
        for branch in (self.p2, self.p3):
            branch.load_state_dict(self.p1.state_dict())
        for reduction in dict.fromkeys(self.reductions()):
            assert isinstance(reduction, nn.Sequential)
            conv, norm = reduction[:2]
            nn.init.kaiming_normal_(conv.weight, mode="fan_in")
            nn.init.normal_(norm.weight, mean=1.0, std=0.02)
            nn.init.zeros_(norm.bias)
        for name in HEADS:
            head = getattr(self, name)
            nn.init.kaiming_normal_(head.weight, mode="fan_out")
            nn.init.zeros_(head.bias)

    def imagenet_sources(self) -> Mapping[str, str]:
        return branched_sources(self.trunk, ("p1", "p2", "p3"), len(self.p1[0]))

    def _pooled(self, images: Tensor) -> list[Tensor]:
        """Eight pooled vectors (N, C, 1, 1), in the order of the embedding."""
        x = self.shared_map(images)
        p1, p2, p3 = self.p1(x), self.p2(x), self.p3(x)

        whole = (self.pool_g1(p1), self.pool_g2(p2), self.pool_g3(p3))
        halves, thirds = self.pool_halves(p2), self.pool_thirds(p3)
        parts = [halves[:, :, i : i + 1] for i in range(2)] + [thirds[:, :, i : i + 1] for i in range(3)]
        return [*whole, *parts]

    def _reduced(self, pooled: list[Tensor]) -> list[Tensor]:
        return [reduce(p).squeeze(3).squeeze(2) for reduce, p in zip(self.reductions(), pooled, strict=True)]


VECTORS = ("g1", "g2", "g3", "p2a", "p2b", "p3a", "p3b", "p3c")
"""Names of the eight vectors, in the order of the embedding."""

HEADS = (
    *(f"fc_id_2048_{i}" for i in range(3)),
    *(f"fc_id_256_1_{i}" for i in range(2)),
    *(f"fc_id_256_2_{i}" for i in range(3)),
)
"""Training's classifiers, in the order of the vectors that they take; each takes `features` numbers."""


def image_size(
    given: tuple[int, int] | str, network: str, multiples: tuple[int, int], example: str = "384x128"
) -> tuple[int, int]:
    """(height, width) of `given`, which may be "HxW".

    Raises ValueError unless they are multiples of `multiples`, saying that `network` takes nothing else.
    """
    try:
        height, width = (int(n) for n in (given.split("x") if isinstance(given, str) else given))
    except ValueError:
        raise ValueError(f"input_size is HxW such as {example}, not {given!r}") from None
    rows, columns = multiples
    if height < rows or width < columns or height % rows or width % columns:
        raise ValueError(
            f"{network} takes heights that are multiples of {rows} and widths of {columns},"
            f" not {height}x{width}"
        )
    return height, width


def _without_stride(stage: nn.Sequential) -> nn.Sequential:
    first: Any = stage[0]
    strided = first.conv1 if isinstance(first, BasicBlock) else first.conv2
    strided.stride = first.downsample[0].stride = (1, 1)
    return stage


def _reduction(channels: int, features: int, activation: str) -> nn.Sequential:
    act = {"relu": nn.ReLU, "prelu": lambda: nn.PReLU(features)}[activation]()
    return nn.Sequential(nn.Conv2d(channels, features, 1, bias=False), nn.BatchNorm2d(features), act)


def _infer(shapes: Shapes) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    first = next((r for r in ("reduction_0", "reduction") if f"{r}.0.weight" in shapes), None)
    if first is not None:
        found["features"] = shapes[f"{first}.0.weight"][0]
        found["activation"] = "prelu" if f"{first}.2.weight" in shapes else "relu"
        found["tied"] = first == "reduction"
    trunk = next((t for t in ("backone", "backbone") if f"{t}.0.weight" in shapes), None)
    if trunk == "backbone":
        found["trunk"] = trunk
    if trunk is not None:
        found["width"] = shapes[f"{trunk}.0.weight"][0]
    if "p1.1.0.conv1.weight" in shapes:
        found["depth"] = 50 if "p1.1.0.conv3.weight" in shapes else 18
    if f"{HEADS[0]}.weight" in shapes:
        found["num_classes"] = shapes[f"{HEADS[0]}.weight"][0]
    return found


_TENSORFLOW_NAMES = Names(
    input="image_tensor",
    output="person_embedding",
    result="result_embedding",
    signature="reid_mgn_serving",
    signature_input="input_image",
    signature_output="reid_embedding",
)

ARCHITECTURE = Architecture(
    name="mgn",
    summary="Multiple Granularity Network, ResNet-50, three branches, 2048 features",
    build=MGN,
    input_shape=(3, *INPUT_SIZE),
    preprocessing=Preprocessing(*INPUT_SIZE, resize="bicubic", color="RGB"),
    options={
        "pool": Option("max", ("max", "avg"), "pooling; checkpoints do not tell it, the paper has max"),
        "activation": Option("relu", ("relu", "prelu"), "end of the reductions; checkpoints tell"),
        "tied": Option(False, (False, True), "one reduction instead of eight; checkpoints tell"),
        "input_size": Option("384x128", (), "HxW of the images; H a multiple of 96, W of 32"),
        "features": Option(256, (), "width of each of the eight vectors; checkpoints tell"),
        "depth": Option(50, tuple(_RESNETS), "layers of the ResNet; checkpoints tell"),
        "width": Option(64, (), "channels of the ResNet's stem; checkpoints tell"),
    },
    infer=_infer,
    output="0",
    embedding="8 x 256: whole person of branches 1, 2, 3; halves; thirds; from top to bottom",
    # The order tensorflow: whole person 1, 2; halves; whole person 3; thirds.
    clients=Clients({"tensorflow": _TENSORFLOW_NAMES}, {"tensorflow": (0, 1, 3, 4, 2, 5, 6, 7)}),
)
