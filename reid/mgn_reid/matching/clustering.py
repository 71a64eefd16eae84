"""Online clustering by identity: pictures come one after the other, and each joins a cluster or founds one.

Distances are Euclidean, between embeddings of unit length: 0 to 2. A picture's cluster is called by the
number of the picture that founded it; the first founds 0.

    first     the cluster of the first earlier picture nearer than `threshold`
    average   candidates are the clusters that have a picture nearer than `threshold`; d is the distance to
              the first such picture of each, m the mean distance to all its pictures, without the greatest
              and the least where it has more than three; the cluster of the least |d - m| if that is less
              than `cluster_threshold`, of equal ones the one whose d was met first

Both are the rules of lwplw/re-id_mgn's matching, version 0.1 and from 0.2 on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mgn_convert.errors import UsageError
from mgn_convert.graph.types import Array

RULES = ("average", "first")
FARTHEST = 2.0
"""Between two unit vectors."""

_BLOCK = 256
_TRIMMED_ABOVE = 3


@dataclass(frozen=True)
class Rule:
    """How pictures join clusters; see above. Raises UsageError for thresholds that are no distances.

    threshold, cluster_threshold: in (0, 2]; the second is of "average" alone.
    """

    threshold: float = 0.7
    cluster_threshold: float = 0.4
    kind: str = "average"

    def __post_init__(self) -> None:
        if self.kind not in RULES:
            raise UsageError(f"there is no rule {self.kind!r}", remedy="one of " + ", ".join(RULES))
        for option, value in (("threshold", self.threshold), ("cluster-threshold", self.cluster_threshold)):
            if not (math.isfinite(value) and 0 < value <= FARTHEST):
                raise UsageError(
                    f"--{option} is no distance",
                    because="unit vectors are more than 0 and at most 2 apart",
                    got=f"{value:g}",
                )


def clusters(embeddings: Array, rule: Rule) -> Array:
    """The cluster of each embedding (N, D), taken in order: int64 (N,), each the number of its founder."""
    return assigned(_distances(embeddings), len(embeddings), rule)


def assigned(rows: Iterable[Array], count: int, rule: Rule) -> Array:
    """The cluster of each of `count` pictures, whose distances to those before it are the next of `rows`."""
    choose = _first if rule.kind == "first" else _average
    found = np.zeros(count, np.int64)
    for place, row in enumerate(rows):
        joined = choose(row, found[:place], rule)
        found[place] = place if joined is None else joined
    return found


def _first(row: Array, earlier: Array, rule: Rule) -> int | None:
    near = row < rule.threshold
    return int(earlier[near.argmax()]) if near.any() else None


def _average(row: Array, earlier: Array, rule: Rule) -> int | None:
    near = np.flatnonzero(row < rule.threshold)
    if not len(near):
        return None
    candidates, firsts = np.unique(earlier[near], return_index=True)
    differences = np.abs(_mean_excesses(row, earlier, candidates, row[near[firsts]]))
    best = np.lexsort((firsts, differences))[0]
    return int(candidates[best]) if differences[best] < rule.cluster_threshold else None


def _mean_excesses(row: Array, earlier: Array, candidates: Array, distances: Array) -> Array:
    """m - d for each candidate, of those that are ascending, and its d in `distances`.

    The mean is taken of what each picture is farther away than d, so that equal distances give 0 exactly.
    """
    slots = np.searchsorted(candidates, earlier).clip(max=len(candidates) - 1)
    members = np.flatnonzero(candidates[slots] == earlier)
    slots = slots[members]
    values = row[members] - distances[slots]
    counts, sums = np.bincount(slots), np.bincount(slots, weights=values)
    order = np.lexsort((values, slots))
    starts = np.cumsum(counts) - counts
    ends = values[order][starts] + values[order][starts + counts - 1]
    trimmed = counts > _TRIMMED_ABOVE
    excesses: Array = np.where(trimmed, sums - ends, sums) / np.where(trimmed, counts - 2, counts)
    return excesses


def _distances(embeddings: Array) -> Iterator[Array]:
    """Of each embedding to those before it, in float64: |a - b| = sqrt(2 - 2 a.b) at unit length."""
    wide = embeddings.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    for start in range(0, len(wide), _BLOCK):
        block = wide[start : start + _BLOCK]
        squared = 2 - 2 * (block @ wide[: start + len(block)].T)
        far = np.sqrt(np.maximum(squared, 0))
        for offset, row in enumerate(far):
            yield row[: start + offset]
