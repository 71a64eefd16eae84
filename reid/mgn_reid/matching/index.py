"""Gallery indexes: who in a gallery is nearest to a query.

An index finds entries by the cosine distance of embeddings, 1 - q.g, from 0 (same direction) to 2; on unit
vectors it orders as the Euclidean distance does, which is sqrt(2 * cosine distance).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mgn_convert.graph.types import Array
from mgn_reid.matching.features import DISTRACTOR, UNKNOWN, Features, Record, check_dimensions


@dataclass(frozen=True)
class Match:
    """An entry that was found for a query. picture: where it was when its embedding was made."""

    name: str
    picture: Path
    identity: int
    camera: int
    distance: float


class GalleryIndex(Protocol):
    """What every index does."""

    @property
    def record(self) -> Record:
        """What made its embeddings."""
        ...

    def search(self, queries: Features, k: int, *, other_cameras: bool = False) -> list[list[Match]]:
        """For each query the `k` nearest entries, nearest first; fewer where there are not so many.

        other_cameras: leave out entries of the query's identity that its own camera saw. The record is not
        checked. Raises UsageError for embeddings of another length.
        """
        ...

    def close(self) -> None:
        """Let go of it; the last call."""
        ...


class MemoryIndex(ABC):
    """An index of features that are in memory."""

    def __init__(self, entries: Features) -> None:
        self.entries = entries

    @property
    def record(self) -> Record:
        return self.entries.record

    def search(self, queries: Features, k: int, *, other_cameras: bool = False) -> list[list[Match]]:
        """See `GalleryIndex`. As many more are searched for as can be left out."""
        check_dimensions(queries.dimension, self.entries.dimension)
        spare = self._most_seen_by_one(queries) if other_cameras else 0
        indices, distances = self._nearest(queries.embeddings, min(k + spare, len(self.entries)))
        found = []
        for row, (places, values) in enumerate(zip(indices, distances, strict=True)):
            keep = places >= 0
            if other_cameras:
                keep &= ~same_view(
                    queries, row, self.entries.identities[places], self.entries.cameras[places]
                )
            pairs = zip(places[keep][:k], values[keep][:k], strict=True)
            found.append([self.match(int(place), float(value)) for place, value in pairs])
        return found

    def _most_seen_by_one(self, queries: Features) -> int:
        """How many entries have the identity and the camera of one query, at most."""
        views = Counter(zip(self.entries.identities.tolist(), self.entries.cameras.tolist(), strict=True))
        asked = (view_of(queries, row) for row in range(len(queries)))
        return max(0 if view is None else views[view] for view in asked)

    def match(self, place: int, distance: float) -> Match:
        """The entry at `place` as a match."""
        entries = self.entries
        identity, camera = int(entries.identities[place]), int(entries.cameras[place])
        return Match(entries.names[place], entries.picture(place), identity, camera, max(0.0, distance))

    def close(self) -> None:
        """See `GalleryIndex`; there is nothing to let go of."""
        return

    @abstractmethod
    def _nearest(self, queries: Array, k: int) -> tuple[Array, Array]:
        """Places (Q, k) and cosine distances (Q, k), nearest first; place -1 where nothing was found."""


class ExactIndex(MemoryIndex):
    """Compares each query with every entry."""

    def _nearest(self, queries: Array, k: int) -> tuple[Array, Array]:
        from mgn_convert.parity.distances import nearest

        return nearest(queries, self.entries.embeddings, k)


def same_view(queries: Features, row: int, identities: Array, cameras: Array) -> Array:
    """Which entries show the identity of query `row` through the query's own camera."""
    view = view_of(queries, row)
    if view is None:
        return np.zeros(len(identities), bool)
    seen: Array = (identities == view[0]) & (cameras == view[1])
    return seen


def view_of(queries: Features, row: int) -> tuple[int, int] | None:
    """The identity and the camera of query `row`; None where either is unknown, and for distractors."""
    view = int(queries.identities[row]), int(queries.cameras[row])
    return None if view[0] in (UNKNOWN, DISTRACTOR) or view[1] == UNKNOWN else view
