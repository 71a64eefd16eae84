"""Strong baselines with one global vector: the bag of tricks and its stronger successor.

Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person Re-identification" (CVPRW 2019), and He et
al., "FastReID: A Pytorch Toolbox for General Instance Re-identification" (2020), with the module names of the
latter's checkpoints. The embedding is the pooled map after the BNNeck.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mgn_convert.architecture import Architecture, Option
from mgn_reid.models.fastreid_backbone import BLOCKS, Backbone, Pixels, raw_pixels
from mgn_reid.models.fastreid_keys import IBN, SE, STEM, infer_baseline, pixels_have_keys, stem_has_ceil
from mgn_reid.models.layers import POOLS, global_pool
from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.models.resnet import reset_convolutions

VINTAGES = ("0.1", "1.0", "1.2")


class Head(nn.Module):
    """Maps (N, channels, H, W) to vectors (N, features or channels): pooling, projection, BNNeck.

    vintage: the names of the keys, see fastreid_keys.  pool: one of POOLS, None for maps of one pixel.
    features: width of the projection, 0 for none.
    The weights of the classes are training's; nothing computes with them here. The neck's bias is not
    trained: it stays at zero.
    """

    def __init__(
        self, channels: int, num_classes: int, vintage: str, pool: str | None = None, features: int = 0
    ) -> None:
        super().__init__()
        width = features or channels
        self.pool_layer = nn.Identity() if pool is None else global_pool(pool)
        layers = [nn.Conv2d(channels, features, 1, bias=False)] if features else []
        if vintage in ("0.1", "project"):
            if features:
                raise ValueError(f"vintage {vintage} has no projection in its head")
            self.bnneck = nn.BatchNorm2d(width)
        else:
            self.bottleneck = nn.Sequential(*layers, nn.BatchNorm2d(width))
        if vintage == "1.2":
            self.weight = nn.Parameter(torch.empty(num_classes, width).normal_(std=0.01))
        else:
            self.classifier = nn.Linear(width, num_classes, bias=False)
            nn.init.normal_(self.classifier.weight, std=0.01)
        self._neck()[-1].bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        neck = self.bnneck if hasattr(self, "bnneck") else self.bottleneck
        return neck(self.pool_layer(x)).flatten(1)

    def around_neck(self, x: Tensor) -> tuple[Tensor, Scored]:
        """The vector before the BNNeck, and the one behind it with the weights of the classes."""
        *projection, norm = self._neck()
        before = self.pool_layer(x)
        for layer in projection:
            before = layer(before)
        weight = self.weight if hasattr(self, "weight") else self.classifier.weight
        return before.flatten(1), Scored(norm(before).flatten(1), weight)

    def _neck(self) -> list[nn.Module]:
        return list(self.bottleneck) if hasattr(self, "bottleneck") else [self.bnneck]


class Baseline(Pixels):
    """Images (N, 3, H, W) of RGB values 0..255 to embeddings (N, 2048), or (N, features) with a projection.

    num_classes: identities in the training set.
    vintage: the names of the keys, and the stem's pooling unless `stem` says it; see fastreid_keys.
    depth, ibn, se, non_local: see Backbone.  pool: one of POOLS.  stem: "pad", "ceil" or "auto".
    features: width of the projection before the neck, 0 for none.
    pixel_keys: whether pixel_mean and pixel_std are in the state_dict; None: as the vintage had it.
    """

    def __init__(
        self,
        num_classes: int = 751,
        vintage: str = "1.2",
        depth: int = 50,
        ibn: bool = False,
        se: bool = False,
        non_local: bool = False,
        pool: str = "avg",
        stem: str = "auto",
        features: int = 0,
        pixel_keys: bool | None = None,
    ) -> None:
        super().__init__(pixels_have_keys(pixel_keys, vintage))
        self.backbone = Backbone(depth, ibn, se, non_local, stem_has_ceil(stem, vintage))
        self.heads = Head(2048, num_classes, vintage, pool, features)
        self.input_size = (256, 128)  # or any other: the map is pooled whole

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(self.backbone(self.normalised(x)))

    def training_outputs(self, images: Tensor) -> TrainingOutputs:
        """Vectors before_neck and after_neck (N, 2048); classified is head, which takes the latter."""
        before, scored = self.heads.around_neck(self.backbone(self.normalised(images)))
        return TrainingOutputs({"before_neck": before, "after_neck": scored.features}, {"head": scored})

    def reset_for_training(self) -> None:
        reset_convolutions(self)

    def imagenet_sources(self) -> Mapping[str, str]:
        names = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
        return {f"backbone.{name}": name for name in names}


def _architecture(name: str, summary: str, size: tuple[int, int], pool: str, non_local: bool) -> Architecture:
    """A Baseline for images of `size`, with the defaults in which one differs from another."""
    options = {
        "vintage": Option("1.2", VINTAGES, "release whose key names and stem it has; checkpoints tell"),
        "depth": Option(50, tuple(BLOCKS), "layers of the ResNet; checkpoints tell"),
        "ibn": Option(False, (False, True), IBN),
        "se": SE,
        "non_local": Option(non_local, (False, True), "non-local blocks in two stages; checkpoints tell"),
        "pool": Option(pool, POOLS, "global pooling; checkpoints tell gemp (learned p), gem has p = 3"),
        "stem": STEM,
    }
    return Architecture(
        name=name,
        summary=summary,
        build=Baseline,
        input_shape=(3, *size),
        preprocessing=raw_pixels(*size),
        embedding="1 x 2048: the pooled map behind the BNNeck",
        options=options,
        infer=infer_baseline,
    )


BAGTRICKS = _architecture(
    "fastreid-bagtricks",
    "bag of tricks of fast-reid, ResNet-50, mean pooling, 2048 features",
    (256, 128),
    pool="avg",
    non_local=False,
)

SBS = _architecture(
    "fastreid-sbs",
    "stronger baseline of fast-reid, ResNet-50, non-local blocks, GeM, 2048 features",
    (384, 128),
    pool="gemp",
    non_local=True,
)
