"""Sums, differences, products and quotients: of two values, or of a value and constants."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, floating, number, rule
from mgn_convert.graph import Shape, Value


@rule("aten.add.Tensor", "aten.add.Scalar")
def add(c: Context, x: Any, y: Any, *, alpha: float = 1) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("add", x, y if alpha == 1 else c.step("power", y, scale=float(alpha)))
    if isinstance(x, Value):
        return _shift(c, x, y * alpha)
    return _shift(c, y if alpha == 1 else c.step("power", y, scale=float(alpha)), x)


@rule("aten.sub.Tensor", "aten.sub.Scalar")
def sub(c: Context, x: Any, y: Any, *, alpha: float = 1) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("sub", x, y if alpha == 1 else c.step("power", y, scale=float(alpha)))
    if isinstance(x, Value):
        return _shift(c, x, y * -alpha)
    if (value := number(x)) is not None:
        return c.add("power", y, scale=-float(alpha), shift=value)
    return _shift(c, c.step("power", y, scale=-float(alpha)), x)


@rule("aten.rsub.Scalar", "aten.rsub.Tensor")
def rsub(c: Context, x: Any, y: Any, alpha: float = 1) -> Value:
    """y - alpha * x."""
    return sub(c, y, x, alpha=alpha)


@rule("aten.mul.Tensor", "aten.mul.Scalar")
def mul(c: Context, x: Any, y: Any) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("mul", x, y)
    return _stretch(c, x, y) if isinstance(x, Value) else _stretch(c, y, x)


@rule("aten.div.Tensor", "aten.div.Scalar")
def div(c: Context, x: Any, y: Any) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("div", x, y)
    if isinstance(x, Value):
        return _stretch(c, x, 1 / floating(y) if isinstance(y, Tensor) else 1 / y)
    if number(x) == 1:
        return c.add("power", y, power=-1.0)
    return _stretch(c, c.step("power", y, power=-1.0), x)


@rule("aten.maximum.default")
def maximum(c: Context, x: Any, y: Any) -> Value:
    return c.add("maximum", c.value(x), c.value(y))


@rule("aten.minimum.default")
def minimum(c: Context, x: Any, y: Any) -> Value:
    """-max(-x, -y)."""
    negated = [c.step("power", c.value(v), scale=-1.0) for v in (x, y)]
    return c.add("power", c.step("maximum", *negated), scale=-1.0)


def _shift(c: Context, x: Value, constant: Any) -> Value:
    """x + constant."""
    return _with_constant(c, x, constant, "add", "shift", "bias")


def _stretch(c: Context, x: Value, constant: Any) -> Value:
    """x * constant."""
    return _with_constant(c, x, constant, "mul", "scale", "weight")


def _with_constant(c: Context, x: Value, constant: Any, op: str, attr: str, param: str) -> Value:
    """A number goes into `power`, a tensor that spans some axes of x into `scale`, any other is a value."""
    value = number(constant)
    if value is not None and len(c.out_shape) == len(x.shape):
        return c.add("power", x, **{attr: value})
    constant = floating(constant)
    axes = _spanned(x.shape, constant.shape)
    if not axes:
        return c.add(op, x, c.value(constant))
    wanted = x.shape[axes[0] : axes[-1] + 1]
    skipped = len(x.shape) - constant.ndim
    own = constant.shape[max(0, axes[0] - skipped) : axes[-1] + 1 - skipped]
    return c.add("scale", x, axis=axes[0], **{param: constant.reshape(own).expand(wanted)})


def _spanned(shape: Shape, constant: torch.Size) -> list[int]:
    """The axes of `shape` along which a broadcast constant varies; none if it would enlarge the value."""
    skipped = len(shape) - len(constant)
    if skipped < 0:
        return []
    axes = [i + skipped for i, n in enumerate(constant) if n != 1]
    return axes if all(constant[i - skipped] == shape[i] for i in axes) else []
