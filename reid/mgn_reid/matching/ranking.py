"""Ranked lists: who in a gallery looks most like each query, and whether that is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mgn_convert.errors import UsageError
from mgn_reid.matching.features import DISTRACTOR, UNKNOWN, Features, check_dimensions
from mgn_reid.matching.index import GalleryIndex, Match, MemoryIndex, same_view, view_of

SCHEMA = "mgn-reid/ranking/1"
COSINE, RERANKED = "cosine", "re-ranked"


@dataclass(frozen=True)
class Ranking:
    """The matches of each query, nearest first. distance: what their numbers are, COSINE or RERANKED."""

    queries: Features
    matches: list[list[Match]]
    distance: str

    def hit(self, row: int, match: Match) -> bool | None:
        """Whether a match of query `row` shows its identity; None where either is unknown, or both 0."""
        identity = int(self.queries.identities[row])
        if UNKNOWN in (identity, match.identity) or identity == match.identity == DISTRACTOR:
            return None
        return identity == match.identity

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; identities and cameras that are unknown become null."""
        rows = []
        for row, found in enumerate(self.matches):
            matches = [
                {
                    "place": place,
                    "name": match.name,
                    "picture": str(match.picture),
                    "identity": _known(match.identity),
                    "camera": _known(match.camera),
                    "distance": match.distance,
                    "hit": self.hit(row, match),
                }
                for place, match in enumerate(found, start=1)
            ]
            rows.append(
                {
                    "name": self.queries.names[row],
                    "picture": str(self.queries.picture(row)),
                    "identity": _known(int(self.queries.identities[row])),
                    "camera": _known(int(self.queries.cameras[row])),
                    "matches": matches,
                }
            )
        return {"schema": SCHEMA, "distance": self.distance, "queries": rows}


def rank(
    queries: Features,
    gallery: GalleryIndex,
    k: int,
    *,
    other_cameras: bool = False,
    rerank: bool = False,
    other_model: bool = False,
) -> Ranking:
    """The `k` entries nearest to each query, or all where there are fewer.

    other_cameras: leave out entries of the query's identity that its own camera saw, as the protocol of
    Market-1501 does. rerank: by k-reciprocal neighbours, which needs the gallery in memory.
    other_model: see `Record.check_comparable`. Raises UsageError for embeddings that cannot be compared.
    """
    queries.record.check_comparable(gallery.record, other_model=other_model)
    if other_cameras and not any(view_of(queries, row) for row in range(len(queries))):
        raise UsageError(
            "no query's identity and camera are known",
            because="the same-camera rule leaves out entries of the query's identity",
            got=queries.names[0],
            remedy="names like Market-1501's, 0002_c1s1_000451_03.jpg, or no --exclude-same-camera",
        )
    if not rerank:
        return Ranking(queries, gallery.search(queries, k, other_cameras=other_cameras), COSINE)
    if not isinstance(gallery, MemoryIndex):
        raise UsageError(
            "a database cannot be re-ranked",
            because="re-ranking compares the gallery's embeddings with one another",
            remedy="the gallery as a features file",
        )
    return Ranking(queries, _reranked(queries, gallery, k, other_cameras), RERANKED)


def _reranked(queries: Features, gallery: MemoryIndex, k: int, other_cameras: bool) -> list[list[Match]]:
    from mgn_convert.parity.reranking import reranked_distances
    from mgn_convert.parity.retrieval import Reranking

    entries = gallery.entries
    check_dimensions(queries.dimension, entries.dimension)
    found = []
    distances = reranked_distances(queries.embeddings, entries.embeddings, Reranking())
    for first, block in distances.blocks():
        for row, values in enumerate(block, start=first):
            places = np.argsort(values, kind="stable")
            if other_cameras:
                seen = same_view(queries, row, entries.identities[places], entries.cameras[places])
                places = places[~seen]
            found.append([gallery.match(int(place), float(values[place])) for place in places[:k]])
    return found


def _known(label: int) -> int | None:
    return None if label == UNKNOWN else label
