"""Retrieval scores and re-ranking written out plainly on whole tables of distances, to compare ours with."""

from __future__ import annotations

import numpy as np

from mgn_convert.graph.types import Array
from mgn_convert.parity.retrieval import Labels


def plain_scores(
    table: Array, query: Labels, gallery: Labels, *, trapezoid: bool = False, max_rank: int = 50
) -> tuple[Array, float, float, int]:
    """CMC (max_rank,), mAP, mINP and the number of skipped queries of distances (Q, G), query by query."""
    cmc, precisions, penalties = np.zeros(max_rank), [], []
    for row, identity, camera in zip(table, query.identities, query.cameras, strict=True):
        order = np.argsort(row, kind="stable")
        same = gallery.identities[order] == identity
        junk = (same & (gallery.cameras[order] == camera)) | (gallery.identities[order] == -1)
        matches = same[~junk]
        if not matches.any():
            continue
        ranks = np.flatnonzero(matches) + 1
        cmc[ranks[0] - 1 :] += 1
        penalties.append(len(ranks) / ranks[-1])
        precisions.append(_area(matches) if trapezoid else np.mean(np.arange(1, len(ranks) + 1) / ranks))
    divisor = len(table) if trapezoid else len(precisions)
    skipped = len(table) - len(precisions)
    return cmc / divisor, sum(precisions) / divisor, sum(penalties) / divisor, skipped


def _area(matches: Array) -> float:
    """Under the curve of precision over recall, from precision 1 at recall 0, by straight lines."""
    area, recall, precision, found = 0.0, 0.0, 1.0, 0
    for rank, match in enumerate(matches, 1):
        found += int(match)
        new_recall, new_precision = found / matches.sum(), found / rank
        area += (new_recall - recall) * (precision + new_precision) / 2
        recall, precision = new_recall, new_precision
    return area


def plain_reranked(squared: Array, queries: int, k1: int, k2: int, weight: float) -> Array:
    """Re-ranked distances (Q, G) from squared distances (N, N) among queries and gallery."""
    distance = squared / squared.max(axis=1, keepdims=True)
    ranked = np.argsort(squared, axis=1, kind="stable")[:, : max(k1 + 1, k2)].copy()

    def reciprocal(i: int, k: int) -> Array:
        forward = ranked[i, : k + 1]
        return forward[[i in ranked[j, : k + 1] for j in forward]]

    encoded = np.zeros_like(distance)
    for i in range(len(distance)):
        near = reciprocal(i, k1)
        members = [near]
        for j in near:
            further = reciprocal(j, round(k1 / 2))
            if np.isin(further, near).sum() > 2 / 3 * len(further):
                members.append(further)
        everyone = np.unique(np.concatenate(members))
        weights = np.exp(-distance[i, everyone])
        encoded[i, everyone] = weights / weights.sum()
    if k2 > 1:
        encoded = np.stack([encoded[ranked[i, :k2]].mean(axis=0) for i in range(len(encoded))])
    who = [np.flatnonzero(column) for column in encoded.T]
    result = np.empty((queries, len(distance) - queries), distance.dtype)
    for i in range(queries):
        shared = np.zeros(len(distance), distance.dtype)
        for m in np.flatnonzero(encoded[i]):
            shared[who[m]] += np.minimum(encoded[i, m], encoded[who[m], m])
        jaccard = 1 - shared / (2 - shared)
        result[i] = ((1 - weight) * jaccard + weight * distance[i])[queries:]
    return result
