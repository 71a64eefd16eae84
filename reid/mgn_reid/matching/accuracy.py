"""How well clusters agree with true identities, by the four measures of lwplw/re-id_mgn's matching test."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from mgn_convert.graph.types import Array


@dataclass(frozen=True)
class Accuracy:
    """Agreement over the pictures whose identity is known; the others are left out beforehand.

    pictures, clusters, identities: how many of each. A cluster's identity is that of its first picture.
    identity_accuracy: 1 - |clusters - identities| / identities; below 0 for more than twice as many.
    class_accuracy: mean over clusters of the share of pictures with the cluster's identity.
    allocation_errors: pictures without the identity of their cluster.
    split_error: identities found in more than one cluster / identities.
    """

    pictures: int
    clusters: int
    identities: int
    identity_accuracy: float
    class_accuracy: float
    allocation_errors: int
    split_error: float

    def to_json(self) -> dict[str, float]:
        """The fields by their names."""
        return asdict(self)


def accuracy(clusters: Array, identities: Array) -> Accuracy | None:
    """Compare clusters (N,) with true identities (N,); None where no identity is known.

    Identities are above 0. Market-1501 calls its junk -1, as `Features` does what no name tells, and its
    distractors 0: many people under one number.
    """
    known = identities > 0
    if not known.any():
        return None
    clusters, identities = clusters[known], identities[known]
    _, firsts, cluster_of, sizes = np.unique(
        clusters, return_index=True, return_inverse=True, return_counts=True
    )
    right = identities == identities[firsts][cluster_of]
    shares = np.bincount(cluster_of, weights=right) / sizes
    pairs = np.unique(np.stack([identities, clusters]), axis=1)
    spread = np.unique(pairs[0], return_counts=True)[1]
    return Accuracy(
        pictures=len(clusters),
        clusters=len(sizes),
        identities=len(spread),
        identity_accuracy=float(1 - abs(len(sizes) - len(spread)) / len(spread)),
        class_accuracy=float(shares.mean()),
        allocation_errors=int((~right).sum()),
        split_error=float((spread > 1).mean()),
    )
