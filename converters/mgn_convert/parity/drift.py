"""What a conversion changes about who is found: drift of embeddings, of rankings and of scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgn_convert.graph.types import Array
from mgn_convert.parity.distances import Metric, cosine_distances, euclidean_distances
from mgn_convert.parity.metrics import lowest_cosine
from mgn_convert.parity.people import People
from mgn_convert.parity.retrieval import Scores

NEAREST = 10
RANKS = (1, 5, 10)
_ROWS = 64


@dataclass(frozen=True)
class Flip:
    """A query whose nearest picture is another one. margin: how much further it was in the reference."""

    query: str
    margin: float


@dataclass(frozen=True)
class Drift:
    """How one network's embeddings of a data set differ from the reference's of the same pictures.

    cosine_min: the lowest cosine between the two embeddings of one picture; NaN where one is zero.
    distance: the largest change of a distance between a query and a gallery picture.
    flips: by falling margin; exact ties of the reference are none.
    overlap_min, overlap_mean: share of a query's ten nearest that stay among them, lowest and mean.
    Rankings leave out what the protocol does: the same person at the same camera.
    """

    cosine_min: float
    distance: float
    flips: tuple[Flip, ...]
    overlap_min: float
    overlap_mean: float

    @property
    def margin(self) -> float:
        """The largest margin of a flip; 0 without any."""
        return max((flip.margin for flip in self.flips), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes null."""
        return {
            "cosine_min": self.cosine_min if math.isfinite(self.cosine_min) else None,
            "distance": self.distance,
            "flips": [{"query": flip.query, "margin": flip.margin} for flip in self.flips],
            "overlap_min": self.overlap_min,
            "overlap_mean": self.overlap_mean,
        }


def figures(scores: Scores) -> dict[str, float]:
    """The scores that people quote, as fractions: rank-1, rank-5, rank-10, mAP, mINP."""
    ranks = {f"rank-{k}": scores.rank(k) for k in RANKS}
    return {**ranks, "mAP": scores.mean_ap, "mINP": scores.mean_inp}


def score_drift(reference: Scores, scores: Scores) -> dict[str, float]:
    """How much higher each of the `figures` is than the reference's."""
    expected = figures(reference)
    return {name: value - expected[name] for name, value in figures(scores).items()}


def measure_drift(reference: People, people: People, metric: Metric = "cosine") -> Drift:
    """The drift of `people` from `reference`, both of the same pictures and of one embedding size."""
    between = cosine_distances if metric == "cosine" else euclidean_distances
    blocks = between(reference.query, reference.gallery).blocks()
    others = between(people.query, people.gallery).blocks()
    furthest, flips, overlaps = 0.0, [], []
    for (first, expected), (_, found) in zip(blocks, others, strict=True):
        for i in range(0, len(expected), _ROWS):
            before, after = expected[i : i + _ROWS], found[i : i + _ROWS]
            furthest = max(furthest, float(np.abs(after - before).max()))
            junk = reference.junk(first + i, len(before))
            before[junk] = after[junk] = np.inf
            ranked = np.flatnonzero(~junk.all(axis=1))
            flips += _flips(before[ranked], after[ranked], first + i + ranked, reference)
            overlaps.append(_overlaps(before[ranked], after[ranked]))
    shares = np.concatenate(overlaps)
    flips.sort(key=lambda flip: -flip.margin)
    return Drift(
        _cosine_min(reference, people),
        furthest,
        tuple(flips),
        float(shares.min(initial=1.0)),
        float(shares.mean()) if len(shares) else 1.0,
    )


def _flips(expected: Array, found: Array, queries: NDArray[np.int64], reference: People) -> list[Flip]:
    """Flips among the rows (n, G) of distances; queries: their numbers."""
    rows = np.arange(len(expected))
    margins = expected[rows, found.argmin(axis=1)] - expected.min(axis=1, initial=np.inf)
    names = [reference.dataset.query[i].path.name for i in queries]
    return [Flip(name, float(m)) for name, m in zip(names, margins, strict=True) if m > 0]


def _overlaps(expected: Array, found: Array) -> Array:
    """For each row of distances, the share of its nearest that are so in both."""
    near, stayed = _nearest(expected), _nearest(found)
    return (near & stayed).sum(axis=1) / near.sum(axis=1)


def _nearest(distances: Array) -> NDArray[np.bool_]:
    """Which columns hold the smallest of each row, ties included, without those that are infinite."""
    k = min(NEAREST, distances.shape[1])
    last = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    return (distances <= last) & np.isfinite(distances)


def _cosine_min(reference: People, people: People) -> float:
    """The lowest cosine of all pictures, a part of them at a time."""
    lowest = [
        lowest_cosine(a[i : i + _ROWS].astype(np.float64), b[i : i + _ROWS].astype(np.float64))
        for a, b in ((reference.query, people.query), (reference.gallery, people.gallery))
        for i in range(0, len(a), _ROWS)
    ]
    return float(np.min(lowest))
