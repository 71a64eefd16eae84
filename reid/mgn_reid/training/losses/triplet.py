"""Triplet losses over the pairs of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgn_reid.training.losses.pairs import Pairs
from mgn_reid.training.losses.settings import Triplet


def euclidean_distances(vectors: Tensor) -> Tensor:
    """Between all pairs of vectors (N, D): (N, N), at least 1e-6, so that the root has a gradient."""
    lengths = vectors.square().sum(1)
    squared = lengths[:, None] + lengths[None, :] - 2 * vectors @ vectors.T
    return squared.clamp(min=1e-12).sqrt()


def unit_distances(vectors: Tensor) -> Tensor:
    """Between all pairs of vectors (N, D) at length 1: sqrt(squared distance + 1e-8), (N, N)."""
    unit = functional.normalize(vectors)
    return ((2 - 2 * unit @ unit.T).clamp(min=0) + 1e-8).sqrt()


def hard_triplets(distances: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Each anchor's distance to its farthest positive and to its nearest negative, (N,) both."""
    farthest = distances.masked_fill(~pairs.positive, -torch.inf).amax(1)
    nearest = distances.masked_fill(~pairs.negative, torch.inf).amin(1)
    return farthest, nearest


def semi_hard_triplets(distances: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """For each anchor and positive, their distance and that to the nearest negative beyond, (P,) both.

    Where no negative is farther than the positive, the farthest negative takes its place.
    """
    ordered = distances.masked_fill(~pairs.negative, torch.inf).sort(1).values
    beyond = torch.searchsorted(ordered.detach(), distances.detach().contiguous(), right=True)
    last = pairs.negative.sum(1, keepdim=True) - 1
    chosen = ordered.gather(1, torch.minimum(beyond, last))
    return distances[pairs.positive], chosen[pairs.positive]


class TripletCriterion(nn.Module):
    """The triplet loss of its settings over named vectors."""

    def __init__(self, settings: Triplet) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, vectors: Mapping[str, Tensor], pairs: Pairs) -> Tensor:
        """The weighted loss, a scalar, of vectors (N, D) by name."""
        losses = torch.stack([self._of(vectors[name], pairs) for name in self.settings.on])
        return self.settings.weight * (losses.sum() if self.settings.reduce == "sum" else losses.mean())

    def _of(self, vectors: Tensor, pairs: Pairs) -> Tensor:
        distances = unit_distances(vectors) if self.settings.normalise else euclidean_distances(vectors)
        mine = hard_triplets if self.settings.mining == "hard" else semi_hard_triplets
        positive, negative = mine(distances, pairs)
        if self.settings.margin is None:
            return functional.softplus(positive - negative).mean()
        return (positive - negative + self.settings.margin).clamp(min=0).mean()
