"""Re-ranking by k-reciprocal neighbours (Zhong et al., CVPR 2017), without the table of all pairs.

Of each of N = Q + G vectors only the k1 + 1 nearest, itself included, and the largest distance are needed:

    D(i, j)  = |x_i - x_j|^2 / max_j |x_i - x_j|^2, of unit vectors
    R(i)     = neighbours j of i that have i among their own k1 + 1
    R*(i)    = R(i) and every R'(j), j in R(i), of which more than 2/3 lies in R(i); R' is R for k1 / 2
    V(i)     = exp(-D(i, j)) for j in R*(i), 0 elsewhere, divided by the sum
    V'(i)    = the mean of V over the k2 nearest of i
    J(i, j)  = 1 - s / (2 - s), s = sum over all m of min(V'(i, m), V'(j, m))
    result   = (1 - weight) J + weight D

V has some hundred entries per row, so J of a query comes from the lists of who has an entry in its columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mgn_convert.errors import UsageError
from mgn_convert.graph.types import Array
from mgn_convert.parity.distances import SHORTEST, Distances, VectorDistances, vectors
from mgn_convert.parity.neighbours import Neighbours, Union, neighbours
from mgn_convert.parity.sparse import SparseRows
from mgn_convert.parity.threads import over_rows

STEP = 128


@dataclass(frozen=True)
class Reranking:
    """k1 neighbours make the sets, k2 are averaged over; weight: of D beside the Jaccard distance."""

    k1: int = 20
    k2: int = 6
    weight: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.weight <= 1:
            raise UsageError(
                "re-ranking cannot be done with these numbers",
                because="k1 and k2 are 1 or more, the weight is from 0 to 1",
                got=f"k1 {self.k1}, k2 {self.k2}, weight {self.weight}",
            )


def reranked_distances(query: Any, gallery: Any, reranking: Reranking) -> Distances:
    """Re-ranked distances between embeddings (Q, D) and (G, D), taken at unit length.

    Neighbours are found at once, rows when they are asked for. Of equal neighbours the one that stands first
    is the nearer, queries before gallery. UsageError as in `distances.vectors`.
    """
    distances = VectorDistances(*vectors(query, gallery), "cosine")
    union = Union(distances.query, distances.gallery)
    queries, _ = distances.shape
    near = neighbours(union, max(reranking.k1 + 1, reranking.k2))
    sets = _expanded_sets(near.indices[:, : reranking.k1 + 1], reranking.k1)
    farthest = np.maximum(near.farthest, SHORTEST)
    encoded = _encoded(union, sets, near, farthest)
    if reranking.k2 > 1:
        encoded = encoded.mean_over(near.indices[:, : reranking.k2])
    return _Reranked(
        distances,
        farthest[:queries],
        encoded.part(0, queries),
        encoded.part(queries, len(union)).turned(len(union)),
        reranking.weight,
    )


@dataclass(frozen=True, eq=False)
class _Reranked:
    """farthest (Q,): the largest squared distance; rows: V' of queries; columns: of the gallery."""

    distances: VectorDistances
    farthest: Array
    rows: SparseRows
    columns: SparseRows
    weight: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.distances.shape

    def blocks(self) -> Iterator[tuple[int, Array]]:
        for first, block in self.distances.blocks():

            def mix(start: int, stop: int, first: int = first, block: Array = block) -> None:
                for row in range(start, stop):
                    self._mix(first + row, block[row])

            over_rows(mix, len(block), STEP)
            yield first, block

    def _mix(self, query: int, row: Array) -> None:
        """Make re-ranked distances of 1 - cosine (G,), which is half of the squared distance, in place."""
        shared = self.columns.sum_of_minima(self.rows, query, len(row))
        np.maximum(row, 0, out=row)
        row *= 2 * self.weight / self.farthest[query]
        row += ((1 - self.weight) * (1 - shared / (2 - shared))).astype(np.float32)


def _expanded_sets(near: Array, k1: int) -> SparseRows:
    """R* of every vector; near (N, K): its neighbours, itself included. The values are ones."""
    half = near[:, : round(k1 / 2) + 1]
    mutual, mutual_half = _mutual(near), _mutual(half)
    sizes = mutual_half.sum(axis=1)

    def expand(start: int, stop: int) -> SparseRows:
        forward = near[start:stop]
        sets = np.where(mutual[start:stop], forward, -1)
        candidates = np.where(mutual_half[forward], half[forward], -2)
        shared = np.zeros(candidates.shape, bool)
        for column in sets.T:
            shared |= candidates == column[:, None, None]
        accepted = mutual[start:stop] & (3 * shared.sum(axis=2) > 2 * sizes[forward])
        members = np.where(accepted[:, :, None], candidates, -1).reshape(stop - start, -1)
        return SparseRows.of_sets(np.concatenate([sets, members], axis=1))

    return SparseRows.stacked(over_rows(expand, len(near), STEP))


def _mutual(near: Array) -> Array:
    """Which neighbours (N, K) have the vector among their own."""
    own = np.arange(len(near), dtype=near.dtype)

    def look(start: int, stop: int) -> Array:
        found: Array = (near[near[start:stop]] == own[start:stop, None, None]).any(axis=2)
        return found

    return np.concatenate(over_rows(look, len(near), STEP))


def _encoded(union: Union, sets: SparseRows, near: Neighbours, farthest: Array) -> SparseRows:
    """V of every vector; squared distances of members that are no neighbours are computed."""

    def encode(start: int, stop: int) -> Array:
        weights = []
        known = np.full(len(union), np.nan, np.float32)
        for row, own in enumerate(union.unit(np.arange(start, stop)), start):
            known[near.indices[row]] = near.squared[row]
            members = sets.columns_of(row)
            squared = known[members]
            known[near.indices[row]] = np.nan
            unknown = np.isnan(squared)
            squared[unknown] = np.maximum(2 - 2 * union.products(members[unknown], own), 0)
            weight = np.exp(-squared / farthest[row], dtype=np.float64)
            weights.append(weight / weight.sum())
        return np.concatenate(weights)

    return SparseRows(sets.starts, sets.columns, np.concatenate(over_rows(encode, len(union), STEP)))
