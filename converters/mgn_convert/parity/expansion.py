"""Average query expansion: a query moves towards its nearest pictures of the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mgn_convert.errors import UsageError
from mgn_convert.graph.types import Array
from mgn_convert.parity.distances import Vectors, nearest, vectors
from mgn_convert.parity.threads import over_rows

STEP = 64
ALL = slice(None)


@dataclass(frozen=True)
class Expansion:
    """k nearest pictures, each weighted by its cosine to the power alpha, in so many rounds."""

    k: int = 5
    alpha: float = 3.0
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.k < 1 or self.rounds < 1 or not self.alpha >= 0:
            raise UsageError(
                "queries cannot be expanded with these numbers",
                because="k and rounds are 1 or more, alpha is 0 or more",
                got=f"k {self.k}, alpha {self.alpha}, rounds {self.rounds}",
            )


def expanded_queries(query: Any, gallery: Any, expansion: Expansion) -> Array:
    """The queries (Q, D) as unit vectors, each the weighted mean of itself and its k nearest of the gallery.

    Embeddings are taken at unit length. The query itself has weight 1, a picture cosine^alpha, and none where
    its cosine is not positive (Radenovic et al., arXiv 1711.02512). A further round starts from the queries
    of the one before. UsageError as in `distances.vectors`.
    """
    queries, pictures = vectors(query, gallery)
    expanded = queries.unit(ALL)
    for _ in range(expansion.rounds):
        expanded = _moved(expanded, pictures, expansion)
    return expanded


def _moved(queries: Array, pictures: Vectors, expansion: Expansion) -> Array:
    indices, distances = nearest(queries, pictures.rows, expansion.k)
    weights = np.where(distances < 1, np.maximum(1 - distances, 0) ** np.float32(expansion.alpha), 0)

    def move(start: int, stop: int) -> None:
        near = pictures.unit(indices[start:stop].ravel()).reshape(stop - start, -1, queries.shape[1])
        queries[start:stop] += np.einsum("qk,qkd->qd", weights[start:stop], near)

    over_rows(move, len(queries), STEP)
    return Vectors.of(queries, "query").unit(ALL)
