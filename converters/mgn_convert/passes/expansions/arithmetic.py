"""Arithmetic between values of different shapes, and with constants."""

from __future__ import annotations

import math

import numpy as np

from mgn_convert.graph import Array, GraphBuilder, Node, Shape, Value
from mgn_convert.passes.expansions import result, step


def _constant(builder: GraphBuilder, value: Value) -> Array | None:
    node = builder.producer(value)
    return node.params["value"] if node is not None and node.op == "constant" else None


def _spanned(array: Array, shape: Shape) -> tuple[int, Array] | None:
    """A constant as (axis, weights along the axes of `shape` from there on). None if it spans the batch."""
    if array.ndim > len(shape):
        return None
    dims = (1,) * (len(shape) - array.ndim) + array.shape
    axes = [i for i, n in enumerate(dims) if n != 1]
    if not axes:
        return 0, array.reshape(())
    if axes[0] == 0 or np.broadcast_shapes(dims, shape) != shape:
        return None
    first, last = axes[0], axes[-1] + 1
    return first, np.broadcast_to(array.reshape(dims[first:last]), shape[first:last])


def constant_to_scale(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """x + c, x - c, c - x = -x + c and x * c, for a constant c, are a scale with the bias or weight c."""
    constants = [_constant(builder, value) for value in inputs]
    if (constants[0] is None) == (constants[1] is None):
        return None
    x = inputs[0 if constants[0] is None else 1]
    array = constants[1] if constants[0] is None else constants[0]
    assert array is not None
    spanned = _spanned(array, x.shape)
    if spanned is None or x.shape != node.shape:
        return None
    axis, array = spanned
    if node.op == "mul":
        return result(builder, node, "scale", x, axis=axis, weight=array)
    if node.op == "sub" and constants[1] is not None:
        array = -array
    if node.op == "sub" and constants[0] is not None:
        x = step(builder, node, "power", x, suffix="negative", scale=-1.0)
    return result(builder, node, "scale", x, axis=axis, bias=array)


def div_by_reciprocal(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """x / y = x * y^-1."""
    constant = _constant(builder, inputs[1])
    if constant is not None:
        inverse = step(builder, node, "constant", suffix="inverse", value=1 / constant.astype(np.float64))
    else:
        inverse = step(builder, node, "power", inputs[1], suffix="inverse", power=-1.0)
    return result(builder, node, "mul", inputs[0], inverse)


def matmul_by_constant(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """x @ c for a constant matrix c (K, P) is a linear layer with the weight c^T."""
    constant = _constant(builder, inputs[1])
    if constant is None or constant.ndim != 2:
        return None
    return result(builder, node, "linear", inputs[0], weight=constant.T)


def _grown(builder: GraphBuilder, node: Node, part: Value, shape: Shape, suffix: str) -> Value:
    """part (N, 1 or C, 1 or H, 1 or W) repeated to shape (N, C, H, W) by kernels of ones: every result is
    one product with 1.
    """
    if part.shape[1] != shape[1]:
        ones = np.ones((shape[1], 1, 1, 1), np.float32)
        part = step(builder, node, "conv", part, suffix=f"{suffix}.channels", weight=ones)
    if part.shape != shape:
        size = [n if have == 1 else 1 for n, have in zip(shape[2:], part.shape[2:], strict=True)]
        ones = np.ones((shape[1], 1, *size), np.float32)
        part = step(
            builder, node, "conv_transpose", part, suffix=f"{suffix}.area", weight=ones, groups=shape[1]
        )
    return part


def _repeated(builder: GraphBuilder, node: Node, part: Value, shape: Shape, suffix: str) -> Value:
    """`_grown` for any number of axes: each run of axes to repeat along is a 1x1 convolution with ones of the
    numbers behind it, where the batch holds those before it.
    """
    dims = list(part.shape)
    runs = [i for i in range(1, len(dims)) if dims[i] != shape[i]]
    for i in runs:
        ones = np.ones((shape[i], 1, 1, 1), np.float32)
        view = (-1, 1, 1, math.prod(dims[i + 1 :]))
        part = step(builder, node, "reshape", part, suffix=f"{suffix}.view{i}", shape=view)
        part = step(builder, node, "conv", part, suffix=f"{suffix}.axis{i}", weight=ones)
        dims[i] = shape[i]
    return step(builder, node, "reshape", part, suffix=suffix, shape=(-1, *shape[1:]))


def _leads(part: Shape, shape: Shape) -> bool:
    """Whether `part` is `shape` but for axes of size 1 at its end."""
    kept = len(part)
    while kept > 1 and part[kept - 1] == 1:
        kept -= 1
    return len(part) == len(shape) and part[:kept] == shape[:kept]


def spread_operand(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """x op y = x op (y repeated to the shape of the result), for values and for constants.

    A constant is repeated as 0 * x + c; (N, 1, H, W) and the like by convolutions with ones; what spans the
    first axes, as (N, C, 1, 1), as (0 * x + 1) * y.
    """
    values = list(inputs)
    for i, value in enumerate(inputs):
        other, constant = inputs[1 - i], _constant(builder, value)
        if constant is not None and other.shape == node.shape:
            spanned = _spanned(constant, node.shape)
            if spanned is None:
                return None
            zero = step(builder, node, "power", other, suffix=f"zero{i}", scale=0.0)
            values[i] = step(
                builder, node, "scale", zero, suffix=f"operand{i}", axis=spanned[0], bias=spanned[1]
            )
        elif value.shape == node.shape:
            continue
        elif node.op != "mul" and other.shape == node.shape and _leads(value.shape, node.shape):
            one = step(builder, node, "power", other, suffix=f"one{i}", scale=0.0, shift=1.0)
            values[i] = step(builder, node, "mul", one, value, suffix=f"operand{i}")
        elif len(value.shape) == len(node.shape) == 4 and value.shape[0] == node.shape[0]:
            values[i] = _grown(builder, node, value, node.shape, f"operand{i}")
        elif len(value.shape) == len(node.shape) and value.shape[0] == node.shape[0]:
            values[i] = _repeated(builder, node, value, node.shape, f"operand{i}")
        else:
            return None
    if values == list(inputs):
        return None
    return result(builder, node, node.op, *values)
