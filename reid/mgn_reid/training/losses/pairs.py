"""Which pictures of a batch show the same person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torch import Tensor

from mgn_convert.errors import UsageError


@dataclass(frozen=True)
class Pairs:
    """Masks (N, N) over anchors and others: same identity but another picture, and another identity."""

    positive: Tensor
    negative: Tensor


def pairs_of(labels: Tensor) -> Pairs:
    """The pairs of a batch with the identities `labels` (N,).

    Raises UsageError if a picture is the only one of its identity, or if all are of one.
    """
    same = labels[:, None] == labels[None, :]
    positive, negative = same.clone().fill_diagonal_(False), ~same
    if not bool((positive.any(1) & negative.any(1)).all()):
        counts = Counter(labels.tolist())
        if len(counts) == 1:
            raise UsageError(
                "a batch holds one identity alone, so no triplet has a negative",
                got=f"{len(labels)} pictures of identity {labels[0]}",
                remedy="batches of at least 2 identities",
            )
        raise UsageError(
            "a batch holds an identity with one picture, so no triplet has a positive",
            got=f"identity {min(counts, key=lambda i: counts[i])} in a batch of {len(labels)}",
            remedy="batches with at least 2 pictures of each identity",
        )
    return Pairs(positive, negative)
