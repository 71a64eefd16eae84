"""LAG-Net: MGN's three streams, one of which looks at the places that its strongest channels point out.

"LAG-Net: Multi-Granularity Network for Person Re-Identification via Local Attention System" (IEEE Trans. on
Multimedia), as the published code computes it, which is simpler than the idea: attention maps are added to
the features, not multiplied; the thirds are pooled from one cell, so that they are equal; and the features
that lose places in training are pooled by their maximum twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from mgn_convert.architecture import Architecture, Shapes
from mgn_convert.preprocess import Preprocessing
from mgn_reid.models.mgn import MGN
from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.models.resnet import branched_sources, reset_convolutions
from mgn_reid.models.trainable import Trainable

INPUT_SIZE = (384, 128)
MAPS = 24
"""How many attention maps an image chooses."""

REDUCED = ("fg_gs", "fg_ps", "fg_la", "fg_d")
"""Vectors that only the triplet loss takes: reduction_0 to reduction_3."""

HEADS = ("la", "d", "gs", "ps", "p0_ps", "p1_ps", "p2_ps")
"""Heads in the order of the embedding: local attention, dropped, global, part, and three thirds."""

IGNORED = {
    "test.": "a whole ResNet-50 for ImageNet that the published network holds beside the one it uses",
    "channel_attention.": "its result is never used",
}


class AttentionMaps(nn.Module):
    """Features (N, C, H, W) to the `MAPS` channels with the largest sums, (N, MAPS, H, W), largest first."""

    def __init__(self, channels: int = 2048) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.bn(self.conv(x)))
        chosen = x.sum((2, 3)).topk(MAPS, dim=1).indices
        return x.gather(1, chosen[:, :, None, None].expand(-1, -1, *x.shape[2:]))


class Head(nn.Module):
    """A pooled vector (N, 2048) to its reduction (N, features) and logits (N, num_classes)."""

    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__()
        self.fc_block1 = nn.Sequential(
            nn.BatchNorm1d(2048), nn.LeakyReLU(0.1), nn.Linear(2048, features, bias=False)
        )
        self.fc_block2 = nn.Sequential(nn.BatchNorm1d(features))
        self.classifier = nn.Sequential(nn.Linear(features, num_classes, bias=False))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        vector = self.fc_block2(self.fc_block1(x))
        return vector, self.classifier(vector)


class LAGNet(Trainable):
    """Images (N, 3, H, W) to the embedding, what the losses want, and seven vectors of logits.

    num_classes: identities in the training set.
    features: width of a head's vector; the embedding is seven times as wide.
    """

    input_size = INPUT_SIZE
    ignored = IGNORED

    def __init__(self, num_classes: int = 751, features: int = 512) -> None:
        super().__init__()
        mgn = MGN(num_classes=1)
        self.backbone = mgn.backone
        self.global_stream, self.part_stream, self.la_stream = mgn.p1, mgn.p2, mgn.p3
        for k in range(7):
            setattr(self, f"reduction_{k}", getattr(mgn, f"reduction_{k}"))
        for name in HEADS:
            setattr(self, f"classifier_{name}", Head(num_classes, features))
        gate = (nn.Linear(2048, 128, bias=False), nn.ReLU(), nn.Linear(128, 2048, bias=False), nn.Sigmoid())
        self.channel_attention = nn.ModuleDict({"fc": nn.Sequential(*gate)})  # published, and never used
        self.attentions = AttentionMaps()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Fourteen tensors, the embedding (N, 7 * features) first.

        Then the vectors of the 24 maps one after another (N, 24 * 2048); the reduced global, part, attention
        and dropped vectors (N, 256 each); the part head's vector (N, features); and logits (N, num_classes)
        in the order of `HEADS`.
        """
        matrix, pooled = self._pooled(x)
        found = [getattr(self, f"classifier_{name}")(pooled[name]) for name in HEADS]
        vectors, logits = [vector for vector, _ in found], [scores for _, scores in found]
        reduced = self._reduced(pooled)
        return (torch.cat(vectors, dim=1), matrix, *reduced, vectors[HEADS.index("ps")], *logits)

    def training_outputs(self, images: Tensor) -> TrainingOutputs:
        """Vectors fg_gs, fg_ps, fg_la, fg_d (N, 256), f_ps (N, features) and matrix (N, 24 * 2048).

        Classified are the names of `HEADS`.
        """
        matrix, pooled = self._pooled(images)
        classified = {}
        for name in HEADS:
            head = getattr(self, f"classifier_{name}")
            vector = head.fc_block2(head.fc_block1(pooled[name]))
            classified[name] = Scored(vector, head.classifier[0].weight)
        vectors = dict(zip(REDUCED, self._reduced(pooled), strict=True))
        return TrainingOutputs({**vectors, "f_ps": classified["ps"].features, "matrix": matrix}, classified)

    def reset_for_training(self) -> None:
        """MGN's start; the published code's own is not known."""
        reset_convolutions(self)
        for stream in (self.part_stream, self.la_stream):
            stream.load_state_dict(self.global_stream.state_dict())
        for k in range(len(REDUCED)):
            conv, norm, _ = getattr(self, f"reduction_{k}")
            nn.init.kaiming_normal_(conv.weight, mode="fan_in")
            nn.init.normal_(norm.weight, mean=1.0, std=0.02)
        for name in HEADS:
            head = getattr(self, f"classifier_{name}")
            for layer in (head.fc_block1[2], head.classifier[0]):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")

    def imagenet_sources(self) -> Mapping[str, str]:
        streams = ("global_stream", "part_stream", "la_stream")
        return branched_sources("backbone", streams, len(self.global_stream[0]))

    def _pooled(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The vectors of the 24 maps one after another, and the pooled vector (N, 2048) of each head."""
        x = self.backbone(images)
        gs, ps, la = self.global_stream(x), self.part_stream(x), self.la_stream(x)
        maps = self.attentions(la)
        seen = _look(la, maps)
        dropped = _drop(la, maps) if self.training else la

        g_la = seen.amax((2, 3)) + seen.mean((2, 3))
        g_d = 2 * dropped.amax((2, 3))
        g_gs, g_ps = (s.amax((2, 3)) + s.mean((2, 3)) for s in (gs, ps))
        third = 2 * g_ps  # maximum plus mean of the one cell that is left of the map
        pooled = (g_la, g_d, g_gs, g_ps, third, third, third)
        return seen.transpose(1, 2).flatten(1), dict(zip(HEADS, pooled, strict=True))

    def _reduced(self, pooled: Mapping[str, Tensor]) -> list[Tensor]:
        names = (name.removeprefix("fg_") for name in REDUCED)
        return [
            getattr(self, f"reduction_{k}")(pooled[name][:, :, None, None]).flatten(1)
            for k, name in enumerate(names)
        ]


def _look(features: Tensor, maps: Tensor) -> Tensor:
    """Mean plus maximum over places of features + map, for each map: (N, C, MAPS, 1).

    One map at a time: all at once would hold MAPS copies of the features.
    """
    seen = []
    for i in range(MAPS):
        lit = features + maps[:, i : i + 1]
        seen.append(lit.mean((2, 3), keepdim=True) + lit.amax((2, 3), keepdim=True))
    return torch.cat(seen, dim=2)


def _drop(features: Tensor, maps: Tensor) -> Tensor:
    """Features without the places where one map reaches half of its maximum.

    The map is drawn with a probability in proportion to the root of its sum.
    """
    chosen = torch.multinomial(maps.sum((2, 3)).sqrt(), 1)
    area = maps.gather(1, chosen[:, :, None, None].expand(-1, -1, *maps.shape[2:]))
    return features * (area < area.amax((2, 3), keepdim=True) / 2)


def _infer(shapes: Shapes) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if "classifier_la.fc_block1.2.weight" in shapes:
        found["features"] = shapes["classifier_la.fc_block1.2.weight"][0]
    if "classifier_la.classifier.0.weight" in shapes:
        found["num_classes"] = shapes["classifier_la.classifier.0.weight"][0]
    return found


ARCHITECTURE = Architecture(
    name="lagnet",
    summary="LAG-Net, ResNet-50, three streams and 24 attention maps chosen per image, 3584 features",
    build=LAGNet,
    input_shape=(3, *INPUT_SIZE),
    preprocessing=Preprocessing(*INPUT_SIZE, resize="bicubic", color="RGB"),
    infer=_infer,
    ignored=IGNORED,
    output="0",
    embedding="7 x 512: local attention, dropped, global, part, three thirds",
)
