"""Reductions over axes, and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Value


def _axes(c: Context, dims: Any) -> tuple[int, ...]:
    """All axes where none is given."""
    named = range(len(c.in_shapes[0])) if dims is None or dims == [] else dims
    return tuple(sorted(c.axis(dim) for dim in ([named] if isinstance(named, int) else named)))


@rule("aten.mean.dim", "aten.mean.default")
def mean(c: Context, x: Value, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    return c.add("reduce", x, kind="mean", axes=_axes(c, dims), keepdims=keepdim)


@rule("aten.sum.dim_IntList", "aten.sum.default")
def sum_(c: Context, x: Value, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    return c.add("reduce", x, kind="sum", axes=_axes(c, dims), keepdims=keepdim)


@rule("aten.amax.default", "aten.max.dim", "aten.max.default")
def amax(c: Context, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
    return c.add("reduce", x, kind="max", axes=_axes(c, dims), keepdims=keepdim)


@rule("aten.amin.default", "aten.min.dim", "aten.min.default")
def amin(c: Context, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
    """-max(-x)."""
    negated = c.step("power", x, scale=-1.0)
    largest = c.step("reduce", negated, kind="max", axes=_axes(c, dims), keepdims=keepdim)
    return c.add("power", largest, scale=-1.0)


@rule("aten.linalg_vector_norm.default")
def vector_norm(
    c: Context, x: Value, order: float = 2, dims: Any = None, keepdim: bool = False, dtype: Any = None
) -> Value:
    axes = _axes(c, dims)
    if order == 2:
        squares = c.step("reduce", x, kind="sumsq", axes=axes, keepdims=keepdim)
        return c.add("power", squares, power=0.5)
    if order == 1:
        return c.add("reduce", x, kind="asum", axes=axes, keepdims=keepdim)
    if order == math.inf:
        return c.add("reduce", c.step("abs", x), kind="max", axes=axes, keepdims=keepdim)
    raise c.refuse(f"it is a norm of order {order}", "order 1, 2 or infinity")


@rule("aten.norm.ScalarOpt_dim")
def norm(c: Context, x: Value, order: Any, dims: Sequence[int], keepdim: bool = False) -> Value:
    return vector_norm(c, x, 2 if order is None else order, dims, keepdim)


@rule("aten.norm.Scalar")
def norm_of_all(c: Context, x: Value, order: Any = 2) -> Value:
    return vector_norm(c, x, order)
