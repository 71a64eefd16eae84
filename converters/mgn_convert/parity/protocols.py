"""Where the right pictures of a query stand in its ranked gallery, and what the protocols make of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mgn_convert.errors import UsageError
from mgn_convert.graph.types import Array
from mgn_convert.parity.distances import IntArray

if TYPE_CHECKING:
    from mgn_convert.parity.retrieval import Labels

NOBODY = -1


class Gallery:
    """The gallery's people, and which pictures of a person count for a query.

    A hit has the query's identity and another camera. Junk has its identity and its camera, or no person at
    all (identity -1), and is taken out of the ranking.
    """

    def __init__(self, labels: Labels) -> None:
        people = labels.identities != NOBODY
        self._people = None if people.all() else np.flatnonzero(people)
        self.cameras = labels.cameras[people]
        of_people = labels.identities[people]
        self._order = np.argsort(of_people, kind="stable")
        self.identities, self.starts = np.unique(of_people[self._order], return_index=True)
        self.counts = np.diff(np.append(self.starts, len(of_people)))

    def without_nobody(self, row: Array) -> Array:
        """A row of distances (G,) without the pictures of no person; all positions below are in this row."""
        return row if self._people is None else row[self._people]

    def place(self, identity: int) -> int:
        """Which of `identities` a person is; -1 where no picture shows them."""
        found = int(np.searchsorted(self.identities, identity))
        return found if found < len(self.identities) and self.identities[found] == identity else -1

    def hits_and_junk(self, identity: int, camera: int) -> tuple[IntArray, IntArray]:
        """Positions of a query's hits and junk, ascending."""
        place = self.place(identity)
        if place < 0:
            return self._order[:0], self._order[:0]
        same = self.pictures(place)
        junk = self.cameras[same] == camera
        return same[~junk], same[junk]

    def pictures(self, place: int) -> IntArray:
        """Positions of the pictures of one of `identities`, ascending."""
        return self._order[self.starts[place] : self.starts[place] + self.counts[place]]

    def at(self, offsets: IntArray) -> IntArray:
        """Positions of one picture per person: offsets (..., identities) count from the person's first."""
        return self._order[self.starts + offsets]


def ranks_of_hits(row: Array, hits: IntArray, junk: IntArray) -> IntArray:
    """Ranks of the hits in a row of distances (G,), counted from 0 without junk, ascending.

    Of equal distances the first of the gallery is the nearest. The row is sorted by value, which is several
    times as fast as by index, and ties are counted where a hit has any. UsageError where a distance is not
    finite.
    """
    order = np.argsort(row[hits], kind="stable")
    hits = hits[order]
    values = row[hits]
    ascending = np.sort(row)
    if not np.isfinite(ascending[[0, -1]]).all():
        raise UsageError("A distance is NaN or Inf", because="pictures cannot be ranked by it")
    ranks = np.searchsorted(ascending, values)
    for i in np.flatnonzero(np.searchsorted(ascending, values, side="right") - ranks > 1):
        ranks[i] += np.count_nonzero(row[: hits[i]] == values[i])
    if len(junk):
        ranks -= _before(row, junk, hits).sum(axis=1)
    return ranks


def _before(row: Array, others: IntArray, hits: IntArray) -> Array:
    """Which of the others (..., M) stand before each hit (M,) or (N,): (N, M) of bool."""
    theirs, mine = row[others], row[hits][:, None]
    before: Array = (theirs < mine) | ((theirs == mine) & (others < hits[:, None]))
    return before


def rectangle_precision(ranks: IntArray) -> float:
    """Average precision: the mean over the hits of the precision at the hit. ranks (M,) from 0, ascending."""
    return float(np.mean(np.arange(1, len(ranks) + 1) / (ranks + 1)))


def trapezoid_precision(ranks: IntArray) -> float:
    """Average precision of Market-1501's own evaluation (Zheng et al., ICCV 2015).

    Between two steps of recall stands the mean of the precision at the hit and just before it, which is 1 at
    the very first place.
    """
    found = np.arange(len(ranks))
    before = np.where(ranks > 0, found / np.maximum(ranks, 1), 1.0)
    return float(np.mean((before + (found + 1) / (ranks + 1)) / 2))


@dataclass(frozen=True, eq=False)
class Trials:
    """CUHK03's single-shot galleries: in each trial one random picture of every person.

    Of the query's own person it is one of the hits. The same picks serve every query, whatever the blocks.
    """

    gallery: Gallery
    picks: IntArray
    seed: int

    @classmethod
    def draw(cls, gallery: Gallery, trials: int, seed: int) -> Trials:
        offsets = np.random.default_rng(seed).integers(gallery.counts, size=(trials, len(gallery.counts)))
        return cls(gallery, gallery.at(offsets), seed)

    def first_ranks(self, row: Array, query: int, identity: int, hits: IntArray) -> IntArray:
        """The rank, from 0, of the query's person in each trial: (trials,)."""
        drawn = np.random.default_rng((self.seed, query)).integers(len(hits), size=len(self.picks))
        before = _before(row, self.picks, hits[drawn])
        before[:, self.gallery.place(identity)] = False
        return before.sum(axis=1)
