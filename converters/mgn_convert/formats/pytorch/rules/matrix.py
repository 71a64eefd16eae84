"""Products of matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Shape, Value
from mgn_convert.graph.batch import batch_free


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


@rule("aten.einsum.default")
def einsum(c: Context, equation: str, operands: Sequence[Any], **named: Any) -> Value:
    """A product of two matrices: each letter is common to all three, summed over, or of one operand alone.

    Letters of a kind are put next to each other by a permutation, and become one axis of the product.
    """
    names, _, result = equation.replace(" ", "").partition("->")
    sides = names.split(",")
    if len(sides) != 2 or "." in equation or any(len(set(s)) < len(s) for s in (*sides, result)):
        raise c.refuse("it is no product of two matrices", "matmul, or a sum after a product")
    sizes = _letters(c, sides)
    images = {s[0] for s, x in zip(sides, operands, strict=True) if isinstance(x, Value)}
    if len(images) > 1 or not images <= set(result) or {sizes[k] for k in images} != {c.batch}:
        raise c.refuse("axis 0 of its operands and its result does not hold the images")
    (left, a), (right, b) = zip(sides, operands, strict=True)
    if isinstance(a, Tensor):
        left, a, right, b = right, b, left, a
    common = [k for k in result if k in left and k in right]
    summed = [k for k in left if k in right and k not in result]
    rows, columns = ([k for k in side if k not in common and k not in summed] for side in (left, right))
    if set(result) != {*common, *rows, *columns}:
        raise c.refuse("it sums over an axis of one operand alone", "a sum after the product")
    matrices = (
        _merged(c, c.value(a), left, (common, rows, summed), sizes),
        _merged(c, c.value(b), right, (common, summed, columns), sizes),
    )
    product = c.step("matmul", *matrices)
    found = [*common, *rows, *columns]
    before = _sizes(common, (rows, columns), sizes)
    pattern = batch_free(before, tuple(sizes[k] for k in found), c.batch)
    wide = c.step("reshape", product, shape=pattern)
    return c.add("permute", wide, order=tuple(found.index(k) for k in result))


def _letters(c: Context, sides: Sequence[str]) -> dict[str, int]:
    """The traced size of each letter of an equation."""
    given: Any = c.node.args[1]
    traced = [n for operand in given for n in operand.meta["val"].shape]
    known = [n if isinstance(n, int) else c.batch for n in traced]
    return dict(zip("".join(sides), known, strict=True))


def _sizes(kept: Sequence[str], merged: Iterable[Sequence[str]], sizes: Mapping[str, int]) -> Shape:
    return (*(sizes[k] for k in kept), *(math.prod(sizes[k] for k in group) for group in merged))


def _merged(
    c: Context, x: Value, names: str, groups: tuple[list[str], ...], sizes: Mapping[str, int]
) -> Value:
    """x with its letters in the order of `groups`; those of every group but the first become one axis."""
    letters = [k for group in groups for k in group]
    turned = c.step("permute", x, order=tuple(names.index(k) for k in letters))
    before, after = tuple(sizes[k] for k in letters), _sizes(groups[0], groups[1:], sizes)
    return c.step("reshape", turned, shape=batch_free(before, after, c.batch))


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
