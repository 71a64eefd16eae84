"""Batch norm between the graph's formula and that of Darknet's CPU code.

The graph divides by sqrt(var + eps), Darknet by sqrt(var') + E, in float64, with E = 0.000001f. So

    var' = (sqrt(var + eps) - E)^2        when written, rounded to float32
    var  = (sqrt(var') + E)^2, eps = 0    when read, in float64

The square keeps the relative error of a float32 rounding in var' at half of that in the divisor, however
small the variance is. Where sqrt(var + eps) < E no var' exists; then var' is 0, which divides by E, and the
scale of that channel is multiplied by E / sqrt(var + eps).
"""

from __future__ import annotations

import numpy as np

from mgn_convert.formats.darknet.weights import FLOAT
from mgn_convert.graph.types import Array, Node

OFFSET = float(np.float32(1e-6))
_SMALLEST = float(np.finfo(np.float32).tiny)


def to_darknet(norm: Node, *, scale: Node | None = None, bias: Array | None = None) -> tuple[Array, ...]:
    """(biases, scales, rolling_mean, rolling_variance) in float32 for a batch_norm node.

    scale: a per-channel scale node after it, when the batch_norm has no weight and bias of its own.
    bias: what is added to the values before they are normalised; the mean takes it in.
    """
    affine = scale or norm
    mean = norm.params["mean"].astype(np.float64)
    if bias is not None:
        mean = mean - bias
    spread = np.sqrt(norm.params["var"].astype(np.float64) + norm.attrs["eps"])
    root = np.maximum(spread - OFFSET, 0)
    variance = np.where(np.isnan(spread), spread, root * root)
    variance = np.where(variance < _SMALLEST, 0, variance)
    weight = np.broadcast_to(affine.params.get("weight", np.ones((), FLOAT)), mean.shape)
    shift = np.broadcast_to(affine.params.get("bias", np.zeros((), FLOAT)), mean.shape)
    tiny = spread < OFFSET * (1 - 1e-12)
    if tiny.any():
        weight = np.where(tiny, weight * (OFFSET / np.where(tiny, spread, 1)), weight)
    return tuple(np.ascontiguousarray(array, FLOAT) for array in (shift, weight, mean, variance))


def variance_of(rolling: Array) -> Array:
    """The variance, for eps 0, that makes a batch_norm node divide as Darknet does."""
    with np.errstate(invalid="ignore"):
        root: Array = np.sqrt(rolling.astype(np.float64)) + OFFSET
    return root * root


def lacks_variance(norm: Node) -> str | None:
    """Why a batch_norm node cannot be written, or None."""
    variance = norm.params["var"].astype(np.float64) + norm.attrs["eps"]
    bad = np.flatnonzero(variance <= 0)
    if bad.size:
        return f"var + eps is positive, but channel {bad[0]} has {variance[bad[0]]:g}"
    return None
