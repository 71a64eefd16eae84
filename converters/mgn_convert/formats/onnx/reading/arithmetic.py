"""Sums, products, powers and choices of the greatest: of values, or of a value and constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from mgn_convert.formats.onnx.reading.registry import Operand, reads
from mgn_convert.formats.onnx.reading.spec import NodeReader, number
from mgn_convert.graph import Array, Shape, Value


@reads("Add")
def add(c: NodeReader) -> Value:
    x, y = c.given(0), c.given(1)
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("add", x, y)
    return _shift(c, c.add, *_sides(c, x, y))


@reads("Sub")
def sub(c: NodeReader) -> Value:
    x, y = c.given(0), c.given(1)
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("sub", x, y)
    if isinstance(x, Value):
        return _shift(c, c.add, x, np.asarray(-c.weight(1)))
    negated, constant = c.value_at(1), c.weight(0)
    value = number(constant)
    if value is not None and constant.ndim <= len(negated.shape):
        return c.add("power", negated, scale=-1.0, shift=value)
    return _shift(c, c.add, c.step("power", negated, scale=-1.0, suffix="negated"), constant)


@reads("Mul")
def mul(c: NodeReader) -> Value:
    x, y = c.given(0), c.given(1)
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("mul", x, y)
    return _stretch(c, c.add, *_sides(c, x, y))


@reads("Div")
def div(c: NodeReader) -> Value:
    x, y = c.given(0), c.given(1)
    if isinstance(x, Value) and isinstance(y, Value):
        return c.add("div", x, y)
    if isinstance(x, Value):
        return _stretch(c, c.add, x, np.asarray(1 / c.weight(1).astype(np.float64)))
    inverse, constant = c.value_at(1), c.weight(0)
    if number(constant) == 1 and constant.ndim <= len(inverse.shape):
        return c.add("power", inverse, power=-1.0)
    return _stretch(c, c.add, c.step("power", inverse, power=-1.0, suffix="inverse"), constant)


@reads("Pow")
def power(c: NodeReader) -> Value:
    exponent = number(c.weight(1))
    if exponent is None:
        raise c.refuse("its exponent is not one number")
    return c.add("power", c.x, power=exponent)


@reads("Sum")
def sum_(c: NodeReader) -> Value:
    return _folded(c, _plus)


@reads("Mean")
def mean(c: NodeReader) -> Value:
    """The sum divided by how many there are."""
    total = _folded(c, _plus, last=c.step)
    return c.add("power", total, scale=1 / len(c.inputs))


@reads("Max")
def maximum(c: NodeReader) -> Value:
    return _folded(c, _greater)


@reads("Min")
def minimum(c: NodeReader) -> Value:
    return _folded(c, _less)


Adds = Callable[..., Value]
Pairwise = Callable[[NodeReader, Adds, Value, "Value | Array"], Value]


def _folded(c: NodeReader, pairwise: Pairwise, last: Adds | None = None) -> Value:
    """All operands joined two at a time, values before constants; `last` adds what ends it."""
    others: list[Value | Array] = [x for x in c.inputs if isinstance(x, Value)]
    others += [x for x in c.inputs if isinstance(x, np.ndarray)]
    first = others.pop(0)
    assert isinstance(first, Value)
    if not others:
        return first
    joined = reduce(lambda x, y: pairwise(c, c.step, x, y), others[:-1], first)
    return pairwise(c, last or c.add, joined, others[-1])


def _plus(c: NodeReader, add: Adds, x: Value, y: Value | Array) -> Value:
    return add("add", x, y) if isinstance(y, Value) else _shift(c, add, x, y)


def _greater(c: NodeReader, add: Adds, x: Value, y: Value | Array) -> Value:
    limit = _limit(x, y)
    if limit is not None:
        return add("relu", x) if limit == 0 else add("clip", x, min=limit, max=math.inf)
    return add("maximum", x, y if isinstance(y, Value) else c.constant(_one_image(c, x, y)))


def _less(c: NodeReader, add: Adds, x: Value, y: Value | Array) -> Value:
    """-max(-x, -y)."""
    limit = _limit(x, y)
    if limit is not None:
        return add("clip", x, min=-math.inf, max=limit)
    first = c.step("power", x, scale=-1.0, suffix="negated")
    if isinstance(y, Value):
        second = c.step("power", y, scale=-1.0, suffix="negated")
    else:
        second = c.constant(-_one_image(c, x, y))
    return add("power", c.step("maximum", first, second), scale=-1.0)


def _limit(x: Value, y: Value | Array) -> float | None:
    return number(y) if isinstance(y, np.ndarray) and y.ndim <= len(x.shape) else None


def _sides(c: NodeReader, x: Operand, y: Operand) -> tuple[Value, Array]:
    """The value and the constant of two operands, in either order."""
    return (x, c.weight(1)) if isinstance(x, Value) else (c.value_at(1), c.weight(0))


def _shift(c: NodeReader, add: Adds, x: Value, constant: Array) -> Value:
    """x + constant; the bias of the linear layer that x is, if it has none yet."""
    made = c.maker(x)
    bare = made is not None and made.op == "linear" and made.fields.get("bias") is None
    if made is not None and bare and constant.shape == x.shape[-1:] and _unshared(c, x):
        return add("linear", *made.inputs, weight=made.fields["weight"], bias=constant)
    return _with_constant(c, add, x, constant, "add", "shift", "bias")


def _unshared(c: NodeReader, x: Value) -> bool:
    return all(c.alone(i) for i, operand in enumerate(c.inputs) if operand is x)


def _stretch(c: NodeReader, add: Adds, x: Value, constant: Array) -> Value:
    """x * constant."""
    return _with_constant(c, add, x, constant, "mul", "scale", "weight")


def _with_constant(
    c: NodeReader, add: Adds, x: Value, constant: Array, op: str, attr: str, param: str
) -> Value:
    """A number goes into `power`, an array that spans some axes of x into `scale`, any other is a value."""
    value = number(constant)
    if value is not None and constant.ndim <= len(x.shape):
        return add("power", x, **{attr: value})
    constant = _one_image(c, x, constant).astype(np.float32)
    axes = _spanned(x.shape, constant.shape)
    if not axes:
        return add(op, x, c.constant(constant))
    wanted = x.shape[axes[0] : axes[-1] + 1]
    skipped = len(x.shape) - constant.ndim
    own = constant.shape[max(0, axes[0] - skipped) : axes[-1] + 1 - skipped]
    return add("scale", x, axis=axes[0], **{param: np.broadcast_to(constant.reshape(own), wanted)})


def _one_image(c: NodeReader, x: Value, constant: Array) -> Array:
    """The constant without the axis along which x has images, if it is the same for each."""
    images = c.images(x)
    axis = -1 if images is None else images - (len(x.shape) - constant.ndim)
    return c.alike(constant, axis) if axis >= 0 else constant


def _spanned(shape: Shape, constant: Sequence[int]) -> list[int]:
    """The axes of `shape` along which a broadcast constant varies; none if it would enlarge the value."""
    skipped = len(shape) - len(constant)
    if skipped < 0:
        return []
    axes = [i + skipped for i, n in enumerate(constant) if n != 1]
    return axes if all(constant[i - skipped] == shape[i] for i in axes) else []
