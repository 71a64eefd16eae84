"""MuDeep with leader-based attention, as its second version builds it.

Qian et al., "Leader-Based Multi-Scale Attention Deep Architecture for Person Re-Identification" (TPAMI 2020).
Three streams of one, two and three bottlenecks see the same map; joined, they are the leader, which decides
how much each channel of a stream takes from every other channel. Each stream then gives one vector for the
whole person and three for the thirds; twelve vectors make the embedding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from mgn_convert.architecture import Architecture, Option, Shapes
from mgn_convert.preprocess import Preprocessing
from mgn_reid.models.mgn import image_size
from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.models.resnet import Bottleneck, reset_convolutions, resnet50
from mgn_reid.models.trainable import Trainable

INPUT_SIZE = (384, 192)
SCALES = (1, 2, 3)


class LeaderAttention(nn.Module):
    """How much each channel of a stream takes from every other: leader (N, 512, H, W) to (N, C, C).

    softmax(A B^T) over the last axis; A and B (N, C, H W) are two 1x1 convolutions of the leader.
    """

    def __init__(self, leader: int = 512, channels: int = 2048) -> None:
        super().__init__()
        self.feature1 = _named(conv1=nn.Conv2d(leader, channels, 1, bias=False))
        self.feature2 = _named(conv1=nn.Conv2d(leader, channels, 1, bias=False))

    def forward(self, leader: Tensor) -> Tensor:
        a, b = self.feature1(leader).flatten(2), self.feature2(leader).flatten(2)
        return torch.bmm(a, b.transpose(1, 2)).softmax(dim=2)


class Head(nn.Module):
    """Pooled (N, 2048, 1, 1) to a vector (N, features) and logits (N, num_classes)."""

    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__()
        self.feature = _named(
            conv1=nn.Conv2d(2048, features, 1, bias=False), bn=nn.BatchNorm2d(features), relu=nn.ReLU()
        )
        self.classifier = _named(dropout=nn.Dropout(0.5), fc=nn.Linear(features, num_classes))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        vector = self.feature(x).flatten(1)
        return vector, self.classifier(vector)

    def scored(self, x: Tensor) -> tuple[Tensor, Scored]:
        """The vector, and what the class layer takes: the vector with dropout while training."""
        vector = self.feature(x).flatten(1)
        layer: Any = self.classifier.fc
        return vector, Scored(self.classifier.dropout(vector), layer.weight, layer.bias)


class MuDeep(Trainable):
    """Images (N, 3, H, W) to the embedding, three global vectors and twelve vectors of logits.

    num_classes: identities in the training set.
    features: width of a head's vector; the embedding is twelve times as wide.
    input_size: (H, W) or "HxW"; H a multiple of 48, W of 16. Raises ValueError otherwise. The same weights
        fit every size.
    """

    def __init__(
        self, num_classes: int = 751, features: int = 512, input_size: tuple[int, int] | str = INPUT_SIZE
    ) -> None:
        super().__init__()
        self.input_size = image_size(input_size, "MuDeep", (48, 16), "384x192")
        resnet = resnet50()
        self.conv = _named(conv=resnet.conv1, bn=resnet.bn1, relu=resnet.relu, pool=resnet.maxpool)
        self.layer1, self.layer2, self.layer3 = resnet.layer1, resnet.layer2, resnet.layer3
        self.layer4_1 = Bottleneck(1024, 512)
        self.layer4_2 = nn.Sequential(Bottleneck(1024, 512), Bottleneck(2048, 512))
        self.layer4_3 = nn.Sequential(*(Bottleneck(inplanes, 512) for inplanes in (1024, 2048, 2048)))
        self.conv_all = _named(
            conv1=nn.Conv2d(len(SCALES) * 2048, 512, 1, bias=False), bn1=nn.BatchNorm2d(512), relu=nn.ReLU()
        )
        for i in SCALES:
            setattr(self, f"gamma{i}", nn.Parameter(torch.zeros(1)))
            setattr(self, f"atten{i}", LeaderAttention())
            for name in _heads(i):
                setattr(self, name, Head(num_classes, features))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(embedding (N, 12 * features), three global vectors (N, features), twelve logits (N, num_classes)).

        The embedding has, for each scale, the vectors of the whole, the top, the middle and the bottom.
        """
        vectors, logits = [], []
        for name, part in self._pooled(x):
            vector, scores = getattr(self, name)(part)
            vectors.append(vector)
            logits.append(scores)
        return (torch.cat(vectors, dim=1), *vectors[::4], *logits)

    def training_outputs(self, images: Tensor) -> TrainingOutputs:
        """Vectors global1 to global3 (N, features), of the whole person at each scale.

        Classified are scale1, scale1_1 to scale1_3, and so on for the other scales.
        """
        found = {name: getattr(self, name).scored(part) for name, part in self._pooled(images)}
        vectors = {f"global{i}": found[f"scale{i}"][0] for i in SCALES}
        return TrainingOutputs(vectors, {name: scored for name, (_, scored) in found.items()})

    def reset_for_training(self) -> None:
        """MGN's start; the published code's own is not known. Attention starts without effect."""
        reset_convolutions(self)
        for name in (name for i in SCALES for name in _heads(i)):
            head = getattr(self, name)
            nn.init.kaiming_normal_(head.feature.conv1.weight, mode="fan_in")
            nn.init.normal_(head.feature.bn.weight, mean=1.0, std=0.02)
            nn.init.kaiming_normal_(head.classifier.fc.weight, mode="fan_out")
            nn.init.zeros_(head.classifier.fc.bias)

    def imagenet_sources(self) -> Mapping[str, str]:
        """Each scale starts from as many of layer4's blocks as it has."""
        shared = {"conv.conv": "conv1", "conv.bn": "bn1", **{n: n for n in ("layer1", "layer2", "layer3")}}
        second = {f"layer4_2.{i}": f"layer4.{i}" for i in range(2)}
        return {**shared, "layer4_1": "layer4.0", **second, "layer4_3": "layer4"}

    def _pooled(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each head's name and the pooled map (N, 2048, 1, 1) that it takes."""
        x = self.layer3(self.layer2(self.layer1(self.conv(images))))
        streams = (self.layer4_1(x), self.layer4_2(x), self.layer4_3(x))
        leader = self.conv_all(torch.cat(streams, dim=1))
        for i, stream in zip(SCALES, streams, strict=True):
            weights = getattr(self, f"atten{i}")(leader)
            gathered = torch.bmm(weights, stream.flatten(2)).view_as(stream)
            attended = getattr(self, f"gamma{i}") * gathered + stream
            thirds = adaptive_avg_pool2d(attended, (3, 1))
            pooled = (attended.mean((2, 3), keepdim=True), *(thirds[:, :, k : k + 1] for k in range(3)))
            yield from zip(_heads(i), pooled, strict=True)


def _heads(scale: int) -> tuple[str, ...]:
    """The heads of a scale: of the whole, and of the thirds from top to bottom."""
    return (f"scale{scale}", *(f"scale{scale}_{k}" for k in (1, 2, 3)))


def _named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _infer(shapes: Shapes) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if "scale1.feature.conv1.weight" in shapes:
        found["features"] = shapes["scale1.feature.conv1.weight"][0]
    if "scale1.classifier.fc.weight" in shapes:
        found["num_classes"] = shapes["scale1.classifier.fc.weight"][0]
    return found


ARCHITECTURE = Architecture(
    name="mudeep",
    summary="MuDeep with leader-based attention, ResNet-50, three scales, 6144 features",
    build=MuDeep,
    input_shape=(3, *INPUT_SIZE),
    preprocessing=Preprocessing(*INPUT_SIZE, resize="bicubic", color="RGB"),
    options={
        "input_size": Option(
            "384x192",
            (),
            "HxW of the images; published training has 384x192 or 384x128, checkpoints do not tell",
        ),
    },
    infer=_infer,
    output="0",
    embedding="12 x 512: for each of 3 scales the whole, top, middle and bottom",
)
