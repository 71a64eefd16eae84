"""The `losses` section of a recipe: a list of these, told apart by `kind`.

A name under `on` is one of what the network gives to training (`TrainingOutputs`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CrossEntropy(_Settings):
    """Classification of identities: the mean over the heads named, times `weight`.

    on: heads; none named: all that the network has. A vector that has no head gets a class layer of the
        learner's own, without bias.
    smoothing: share of the target that goes to the other classes, in equal parts.
    layer: what makes the logits: linear, or of the cosine between vector and class weight: circle (Sun et
        al., "Circle Loss", CVPR 2020) or cosface (Wang et al., "CosFace", CVPR 2018).
    scale, margin: of circle and cosface.
    bias: whether linear heads use their bias; without, it stays as it is.
    """

    kind: Literal["cross-entropy"] = "cross-entropy"
    on: tuple[str, ...] = ()
    weight: float = Field(1.0, gt=0)
    smoothing: float = Field(0.0, ge=0, lt=0.5)
    layer: Literal["linear", "circle", "cosface"] = "linear"
    scale: float = Field(64.0, gt=0)
    margin: float = Field(0.35, ge=0)
    bias: bool = True


class Triplet(_Settings):
    """Anchor nearer to its own identity than to others: over the vectors named, times `weight`.

    margin: distance by which it has to be nearer; null: the soft margin log(1 + exp(d_ap - d_an)).
    mining: hard: for each anchor its farthest positive and nearest negative (Hermans et al., "In Defense of
        the Triplet Loss", 2017); semi-hard: for each anchor and positive the nearest negative that is farther
        (Schroff et al., "FaceNet", CVPR 2015).
    normalise: take the vectors at length 1.
    reduce: mean or sum over the vectors named.
    """

    kind: Literal["triplet"] = "triplet"
    on: tuple[str, ...] = Field(min_length=1)
    weight: float = Field(1.0, gt=0)
    margin: float | None = Field(0.3, ge=0)
    mining: Literal["hard", "semi-hard"] = "hard"
    normalise: bool = False
    reduce: Literal["mean", "sum"] = "mean"


class Centre(_Settings):
    """LAG-Net's: squared distance of a vector to the running centre of its identity.

    rate: how far a centre moves in one step towards the vectors of its identity.
    """

    kind: Literal["centre"] = "centre"
    on: str
    weight: float = Field(1.0, gt=0)
    rate: float = Field(0.05, gt=0, le=1)


LossSettings = Annotated[CrossEntropy | Triplet | Centre, Field(discriminator="kind")]
