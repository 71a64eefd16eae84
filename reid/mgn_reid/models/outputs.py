"""What a network gives to training: vectors for metric losses, and what its class layers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Scored:
    """What one class layer takes: features (N, D), its weight (classes, D), its bias (classes,) if any.

    Logits are features weight^T + bias, or what a layer with a margin makes of the two.
    """

    features: Tensor
    weight: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True)
class TrainingOutputs:
    """Of one batch, by names that recipes use: vectors (N, D) and what the class layers take."""

    vectors: Mapping[str, Tensor]
    classified: Mapping[str, Scored]
