"""The Multiple Granularity Network of the fast-reid family.

Wang et al., "Learning Discriminative Features with Multiple Granularities for Person Re-Identification"
(ACM MM 2018), with the module names of fast-reid's checkpoints. It differs from mgn.MGN in its normalisation
inside, IBN-a, generalised mean pooling and a BNNeck behind every reduction; and in itself over the years.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgn_convert.architecture import Architecture, Option
from mgn_reid.models.fastreid import VINTAGES, Head
from mgn_reid.models.fastreid_backbone import Pixels, raw_pixels, stage, stem
from mgn_reid.models.fastreid_keys import IBN, SE, STEM, infer_mgn, pixels_have_keys, stem_has_ceil
from mgn_reid.models.layers import POOLS, global_pool
from mgn_reid.models.outputs import TrainingOutputs
from mgn_reid.models.resnet import branched_sources, reset_convolutions

INPUT_SIZE = (384, 128)
PARTS = ("b1", "b2", "b3", "b21", "b22", "b31", "b32", "b33")
"""In the order of the embedding: three whole persons, two halves and three thirds from top to bottom."""


class FastReidMGN(Pixels):
    """Images (N, 3, H, W) of RGB values 0..255 to embeddings (N, 8 * features).

    Each of the eight vectors is, by vintage,

        project   pool, 1x1 convolution, BN, ReLU, BNNeck; b1 strides once more; the embedding has length 1
        0.1       pool, 1x1 convolution, BN, ReLU, BNNeck
        1.0, 1.2  pool, 1x1 convolution, BNNeck

    H / 16 rows are cut into halves and thirds; where they do not divide, the last part is smaller.

    num_classes: identities in the training set.  features: width of a reduction.
    vintage: "project" or one of VINTAGES, see fastreid_keys.
    pool: one of POOLS, or "auto": max for "project", else gemp.
    ibn, se: see Block.  stem: "pad", "ceil" or "auto".
    pixel_keys: whether pixel_mean and pixel_std are in the state_dict; None: as the vintage had it.
    """

    def __init__(
        self,
        num_classes: int = 751,
        vintage: str = "1.2",
        ibn: bool = True,
        se: bool = False,
        pool: str = "auto",
        stem: str = "auto",
        features: int = 256,
        pixel_keys: bool | None = None,
    ) -> None:
        super().__init__(pixels_have_keys(pixel_keys, vintage))
        project = vintage == "project"
        self._add_branches(stem_has_ceil(stem, vintage), 2 if project else 1, ibn, se)
        if pool == "auto":
            pool = "max" if project else "gemp"
        self.input_size = INPUT_SIZE
        self.reduces_apart = project or vintage == "0.1"
        self.normalises = project
        shared = global_pool(pool)
        for part in PARTS:
            if self.reduces_apart:
                setattr(self, f"{part}_pool", _reduction(shared, features))
                head = Head(features, num_classes, vintage)
            else:
                head = Head(2048, num_classes, vintage, pool, features)
            setattr(self, f"{part}_head", head)

    def _add_branches(self, ceil: bool, last_stride: int, ibn: bool, se: bool) -> None:
        third = stage(3, 2, ibn=ibn, se=se)
        tail, whole = third[1:], stage(4, 1, se=se)
        first, second = stage(1, 1, ibn=ibn, se=se), stage(2, 2, ibn=ibn, se=se)
        self.backbone = nn.Sequential(*stem(ceil), first, second, third[0])
        self.b1 = nn.Sequential(nn.Sequential(*tail), stage(4, last_stride, se=se))
        self.b2 = nn.Sequential(copy.deepcopy(self.b1[0]), whole)
        self.b3 = nn.Sequential(copy.deepcopy(self.b1[0]), copy.deepcopy(whole))

    def forward(self, x: Tensor) -> Tensor:
        vectors = [getattr(self, f"{part}_head")(m) for part, m in self._maps(x)]
        embedding = torch.cat(vectors, dim=1)
        return functional.normalize(embedding) if self.normalises else embedding

    def training_outputs(self, images: Tensor) -> TrainingOutputs:
        """Vectors b1_before_neck to b33_before_neck and b1_after_neck to b33_after_neck (N, features).

        Beside them b2_parts_..., the vectors of b21 and b22 end to end, and b3_parts_... of b31, b32 and b33.
        Classified are b1 to b33, which take the vectors after the neck.
        """
        pairs = {part: getattr(self, f"{part}_head").around_neck(m) for part, m in self._maps(images)}
        vectors: dict[str, Tensor] = {}
        for place, chosen in (
            ("before_neck", {part: before for part, (before, _) in pairs.items()}),
            ("after_neck", {part: scored.features for part, (_, scored) in pairs.items()}),
        ):
            vectors |= {f"{part}_{place}": vector for part, vector in chosen.items()}
            for whole in ("b2", "b3"):
                parts = [chosen[part] for part in PARTS[3:] if part.startswith(whole)]
                vectors[f"{whole}_parts_{place}"] = torch.cat(parts, dim=1)
        return TrainingOutputs(vectors, {part: scored for part, (_, scored) in pairs.items()})

    def reset_for_training(self) -> None:
        """The branches start equal, as they do from ImageNet's weights; b1 may stride, which is no weight."""
        reset_convolutions(self)
        for branch in (self.b2, self.b3):
            branch.load_state_dict(self.b1.state_dict())

    def imagenet_sources(self) -> Mapping[str, str]:
        return branched_sources("backbone", ("b1", "b2", "b3"), len(self.b1[0]))

    def _maps(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each of PARTS, and the map that its head takes."""
        x = self.backbone(self.normalised(images))
        b1, b2, b3 = self.b1(x), self.b2(x), self.b3(x)
        b21, b22 = torch.chunk(b2, 2, dim=2)
        b31, b32, b33 = torch.chunk(b3, 3, dim=2)
        for part, x in zip(PARTS, (b1, b2, b3, b21, b22, b31, b32, b33), strict=True):
            yield part, getattr(self, f"{part}_pool")(x) if self.reduces_apart else x


def _reduction(pool: nn.Module, features: int) -> nn.Sequential:
    return nn.Sequential(
        pool, nn.Conv2d(2048, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU(inplace=True)
    )


ARCHITECTURE = Architecture(
    name="fastreid-mgn",
    summary="Multiple Granularity Network of fast-reid, ResNet-50 with IBN, 2048 features",
    build=FastReidMGN,
    input_shape=(3, *INPUT_SIZE),
    preprocessing=raw_pixels(*INPUT_SIZE),
    embedding="8 x 256: whole person of branches 1, 2, 3; halves; thirds; from top to bottom",
    options={
        "vintage": Option("1.2", ("project", *VINTAGES), "release that it is of; checkpoints tell"),
        "ibn": Option(True, (False, True), IBN),
        "se": SE,
        "pool": Option("auto", ("auto", *POOLS), "auto: max for project, else gemp, which checkpoints tell"),
        "stem": STEM,
    },
    infer=infer_mgn,
)
