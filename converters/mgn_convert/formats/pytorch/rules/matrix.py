"""Products of matrices."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Value


@rule("aten.linear.default")
def linear(c: Context, x: Value, weight: Any, bias: Any = None) -> Value:
    if not isinstance(weight, Tensor) or isinstance(bias, Value):
        raise c.refuse("its weights are computed from the image")
    return c.add("linear", x, weight=weight, bias=bias)


@rule("aten.addmm.default")
def addmm(c: Context, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    """bias + x @ weight."""
    if isinstance(x, Value) and isinstance(weight, Tensor) and isinstance(bias, Tensor) and bias.ndim == 1:
        return c.add("linear", x, weight=weight.T * alpha, bias=bias * beta)
    raise c.refuse("its operands are not a value, a matrix and a vector of constants")


@rule("aten.matmul.default", "aten.mm.default", "aten.bmm.default")
def matmul(c: Context, x: Any, y: Any) -> Value:
    """A constant matrix on the right is a linear layer."""
    if isinstance(y, Tensor) and y.ndim == 2:
        return c.add("linear", x, weight=y.T)
    return c.add("matmul", c.value(x), c.value(y))


@rule("aten.scaled_dot_product_attention.default")
def attention(
    c: Context,
    query: Value,
    key: Value,
    value: Value,
    mask: Any = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """softmax(query @ key^T * scale) @ value, scale 1 / sqrt(width) if none is given."""
    if mask is not None or is_causal or enable_gqa or dropout:
        raise c.refuse("it has a mask, dropout or grouped queries", "attention without them")
    rank = len(key.shape)
    order = (*range(rank - 2), rank - 1, rank - 2)
    product = c.step("matmul", query, c.step("permute", key, order=order))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    weights = c.step("softmax", c.step("power", product, scale=factor), axis=rank - 1)
    return c.add("matmul", weights, value)
