"""How far a candidate's tensor is from the reference's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgn_convert.graph.types import Array

EXACT_FACTOR, EXACT_SLACK = 2.0, 1e-6


@dataclass(frozen=True)
class Difference:
    """One comparison. error is inf when shapes differ or anything is NaN or Inf.

    error: max |candidate - reference| / max(1, max |reference|).
    cosine: of each image's flattened tensor, the lowest of the batch; NaN where either is zero.
    """

    error: float
    cosine: float
    problem: str = ""


def squeezed_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without axes of size 1 behind the batch: engines differ in how they write a vector."""
    return (shape[0], *(n for n in shape[1:] if n != 1))


def compare(reference: Array, candidate: Array) -> Difference:
    """The difference between two tensors of one batch."""
    if squeezed_shape(reference.shape) != squeezed_shape(candidate.shape):
        return Difference(
            np.inf, np.nan, f"shape {list(candidate.shape)} where the reference has {list(reference.shape)}"
        )
    r = reference.reshape(reference.shape[0], -1).astype(np.float64)
    c = candidate.reshape(r.shape).astype(np.float64)
    for name, array in (("reference", r), ("candidate", c)):
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            return Difference(np.inf, np.nan, f"the {name} has {count} values that are NaN or Inf")
    error = float(np.abs(c - r).max() / max(1.0, np.abs(r).max()))
    return Difference(error, lowest_cosine(r, c))


def lowest_cosine(reference: Array, candidate: Array) -> float:
    """The lowest cosine between corresponding rows; NaN where a row is zero."""
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(candidate, axis=1)
    if not norms.all():
        return float("nan")
    return float(((reference * candidate).sum(axis=1) / norms).min())


def is_exact(error: float, reference_error: float) -> bool:
    """Whether an error against the float64 run is of the reference engine's own size."""
    return error <= EXACT_FACTOR * reference_error + EXACT_SLACK


def changed_neighbours(reference: Array, candidate: Array, noise: float = 1e-6) -> int:
    """Embeddings (N, D) whose nearest other one is another in the candidate, by cosine.

    A change between neighbours that the reference itself holds apart by no more than `noise` does not count.
    """
    if len(reference) < 3:
        return 0
    r, c = (_cosines(e) for e in (reference, candidate))
    rows, chosen = np.arange(len(r)), c.argmax(axis=1)
    return int((r[rows, chosen] < r.max(axis=1) - noise).sum())


def _cosines(embeddings: Array) -> Array:
    flat = embeddings.reshape(len(embeddings), -1).astype(np.float64)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-300)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines
