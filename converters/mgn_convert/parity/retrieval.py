"""Scores of re-identification: who is found, and how early.

A query's gallery is ranked by distance. Hits show the query's person from another camera; pictures of the
same person from the same camera are junk, left out of the ranking, and so are pictures of no person
(identity -1). A query without a hit is skipped. Of the others are taken

    CMC at k  the share of queries with a hit among the first k
    mAP       the mean over queries of the average precision: the mean of hits so far / rank over the hits
    mINP      the mean over queries of number of hits / rank of the last hit (Ye et al., arXiv 2001.04193)

Protocols:
    standard          as above (Zheng et al., ICCV 2015; single query)
    market-trapezoid  average precision as the area under straight lines, and all sums divided by the number
                      of all queries, skipped ones included: Market-1501's own evaluation
    cuhk03            CMC as the mean over random trials with one picture of every person in the gallery (Li
                      et al., CVPR 2014); mAP and mINP as above, over the whole gallery

Of equal distances the picture that stands first in the gallery is ranked first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mgn_convert.datasets.types import Picture
from mgn_convert.errors import UsageError
from mgn_convert.graph.types import Array
from mgn_convert.parity.distances import (
    Distances,
    IntArray,
    Metric,
    cosine_distances,
    euclidean_distances,
)
from mgn_convert.parity.expansion import Expansion, expanded_queries
from mgn_convert.parity.protocols import (
    Gallery,
    Trials,
    ranks_of_hits,
    rectangle_precision,
    trapezoid_precision,
)
from mgn_convert.parity.reranking import Reranking, reranked_distances
from mgn_convert.parity.threads import over_rows

__all__ = ["Expansion", "Labels", "Protocol", "Reranking", "Scores", "Settings", "score", "score_embeddings"]

Protocol = Literal["standard", "market-trapezoid", "cuhk03"]
STEP = 64


@dataclass(frozen=True, eq=False)
class Labels:
    """identities (N,), -1 for no person, and cameras (N,)."""

    identities: IntArray
    cameras: IntArray

    def __post_init__(self) -> None:
        for name in ("identities", "cameras"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        if self.identities.ndim != 1 or self.identities.shape != self.cameras.shape:
            raise UsageError(
                "identities and cameras do not belong together",
                because="every picture has one of each",
                got=f"shapes {list(self.identities.shape)} and {list(self.cameras.shape)}",
            )

    @classmethod
    def of(cls, pictures: Sequence[Picture]) -> Labels:
        """The labels of pictures, in their order."""
        return cls(
            np.array([p.identity for p in pictures], np.int64),
            np.array([p.camera for p in pictures], np.int64),
        )

    def __len__(self) -> int:
        return len(self.identities)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores as fractions from 0 to 1.

    cmc (max_rank,): for rank 1, 2, ...; queries: how many had a hit; skipped: how many had none.
    """

    cmc: Array
    mean_ap: float
    mean_inp: float
    queries: int
    skipped: int

    def rank(self, k: int) -> float:
        """CMC at rank k = 1, 2, ... UsageError where k is beyond max_rank."""
        if not 1 <= k <= len(self.cmc):
            raise UsageError(
                f"there is no score of rank {k}", because=f"ranks 1 to {len(self.cmc)} were counted"
            )
        return float(self.cmc[k - 1])

    def to_json(self) -> dict[str, Any]:
        """Everything as plain numbers, cmc as a list."""
        return {
            "cmc": [float(share) for share in self.cmc],
            "mean_ap": self.mean_ap,
            "mean_inp": self.mean_inp,
            "queries": self.queries,
            "skipped": self.skipped,
        }


@dataclass(frozen=True)
class Settings:
    """How embeddings are scored.

    trials: of the protocol cuhk03, as its paper has them; some code has 10. seed: of these trials' picks.
    Expansion and re-ranking are of unit vectors and go with the metric cosine.
    """

    metric: Metric = "cosine"
    protocol: Protocol = "standard"
    reranking: Reranking | None = None
    expansion: Expansion | None = None
    max_rank: int = 50
    trials: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("distance", self.metric, get_args(Metric))
        _check_choice("protocol", self.protocol, get_args(Protocol))
        _check_counts(self.max_rank, self.trials)
        if self.metric != "cosine" and (self.reranking or self.expansion):
            raise UsageError(
                f"re-ranking and query expansion do not go with the {self.metric} distance",
                because="they are defined on vectors of length 1",
                remedy="the cosine distance, which ranks such vectors as the Euclidean does",
            )


def _check_choice(what: str, got: str, known: tuple[str, ...]) -> None:
    if got not in known:
        raise UsageError(f"there is no {what} {got!r}", remedy=", ".join(known))


def _check_counts(max_rank: int, trials: int) -> None:
    if max_rank < 1 or trials < 1:
        raise UsageError("max_rank and trials are 1 or more", got=f"{max_rank} and {trials}")


def score_embeddings(
    query: Any,
    gallery: Any,
    query_labels: Labels,
    gallery_labels: Labels,
    settings: Settings = Settings(),
) -> Scores:
    """Scores of query (Q, D) and gallery embeddings (G, D), which need not be unit vectors.

    Query expansion comes before re-ranking. UsageError as in `score` and `distances.vectors`.
    """
    _check((len(query), len(gallery)), query_labels, gallery_labels)
    if settings.expansion:
        query = expanded_queries(query, gallery, settings.expansion)
    if settings.reranking:
        distances = reranked_distances(query, gallery, settings.reranking)
    else:
        measured = cosine_distances if settings.metric == "cosine" else euclidean_distances
        distances = measured(query, gallery)
    return score(
        distances,
        query_labels,
        gallery_labels,
        protocol=settings.protocol,
        max_rank=settings.max_rank,
        trials=settings.trials,
        seed=settings.seed,
    )


def score(
    distances: Distances,
    query_labels: Labels,
    gallery_labels: Labels,
    *,
    protocol: Protocol = "standard",
    max_rank: int = 50,
    trials: int = 100,
    seed: int = 0,
) -> Scores:
    """Scores of distances (Q, G), taken a block at a time.

    UsageError where labels are not one per row and column, where there is no query, none with a hit, an
    unknown protocol, or a distance that is NaN or Inf.
    """
    _check_choice("protocol", protocol, get_args(Protocol))
    _check(distances.shape, query_labels, gallery_labels)
    _check_counts(max_rank, trials)
    tally = _Tally.start(query_labels, gallery_labels, protocol, trials, seed)
    for first, block in distances.blocks():

        def count(start: int, stop: int, first: int = first, block: Array = block) -> None:
            for row in range(start, stop):
                tally.count(first + row, block[row])

        over_rows(count, len(block), STEP)
    if not tally.counted.any():
        raise UsageError(
            "no query has a picture to be found",
            because="a right picture shows the query's identity from another camera",
            got=f"{len(query_labels)} queries, {len(gallery_labels)} pictures in the gallery",
        )
    return tally.scores(max_rank)


@dataclass(frozen=True, eq=False)
class _Tally:
    """What is known of every query (Q,): its rows are written by several threads at once."""

    labels: Labels
    gallery: Gallery
    protocol: Protocol
    trials: Trials | None
    counted: Array
    first_ranks: Array
    precisions: Array
    penalties: Array

    @classmethod
    def start(cls, query: Labels, gallery: Labels, protocol: Protocol, trials: int, seed: int) -> _Tally:
        people, n = Gallery(gallery), len(query)
        drawn = Trials.draw(people, trials, seed) if protocol == "cuhk03" else None
        first_ranks = np.zeros((n, trials if drawn else 1), np.int64)
        return cls(query, people, protocol, drawn, np.zeros(n, bool), first_ranks, np.zeros(n), np.zeros(n))

    def count(self, query: int, row: Array) -> None:
        """Take in the distances (G,) of one query."""
        identity, camera = int(self.labels.identities[query]), int(self.labels.cameras[query])
        hits, junk = self.gallery.hits_and_junk(identity, camera)
        if not len(hits):
            return
        row = self.gallery.without_nobody(row)
        ranks = ranks_of_hits(row, hits, junk)
        precision = trapezoid_precision if self.protocol == "market-trapezoid" else rectangle_precision
        self.counted[query] = True
        self.first_ranks[query] = (
            self.trials.first_ranks(row, query, identity, hits) if self.trials else ranks[0]
        )
        self.precisions[query] = precision(ranks)
        self.penalties[query] = len(ranks) / (ranks[-1] + 1)

    def scores(self, max_rank: int) -> Scores:
        queries = int(self.counted.sum())
        divisor = len(self.labels) if self.protocol == "market-trapezoid" else queries
        first_ranks = self.first_ranks[self.counted].ravel()
        firsts = np.bincount(np.minimum(first_ranks, max_rank), minlength=max_rank + 1)[:max_rank]
        return Scores(
            cmc=np.cumsum(firsts) / (divisor * self.first_ranks.shape[1]),
            mean_ap=float(self.precisions.sum() / divisor),
            mean_inp=float(self.penalties.sum() / divisor),
            queries=queries,
            skipped=len(self.labels) - queries,
        )


def _check(shape: tuple[int, int], query_labels: Labels, gallery_labels: Labels) -> None:
    for name, count, labels in zip(("query", "gallery"), shape, (query_labels, gallery_labels), strict=True):
        if not count and not len(labels):
            raise UsageError(
                f"the {name} is empty", because="scores need pictures to look for, and where to look"
            )
        if count != len(labels):
            raise UsageError(
                f"embeddings and labels of the {name} do not belong together",
                because="every picture has one embedding and one label",
                got=f"{count} embeddings, {len(labels)} labels",
            )
