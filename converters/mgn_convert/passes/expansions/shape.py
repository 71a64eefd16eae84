"""Values moved about and cut, and reductions."""

from __future__ import annotations

import math

import numpy as np

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import Link, chain, result


def permute_by_reshape(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Moving axes of size 1 moves no value in memory: a reshape. Other axes keep their order, or None."""
    shape, order = inputs[0].shape, node.attrs["order"]
    moved = [axis for axis in order if axis == 0 or shape[axis] != 1]
    if moved != sorted(moved) or order[0] != 0:
        return None
    return result(builder, node, "reshape", inputs[0], shape=(0, *node.shape[1:]))


def whole_slice(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """A slice of everything is its input."""
    return chain(builder, node, inputs[0], []) if inputs[0].shape == node.shape else None


def _runs(axes: list[int]) -> list[tuple[int, int]]:
    """Neighbouring axes as (first, after last), the last run first."""
    runs: list[tuple[int, int]] = []
    for axis in axes:
        if runs and runs[-1][1] == axis:
            runs[-1] = (runs[-1][0], axis + 1)
        else:
            runs.append((axis, axis + 1))
    return runs[::-1]


_BEFORE: dict[str, list[Link]] = {
    "asum": [("magnitude", "abs", {})],
    "sumsq": [("square", "power", {"power": 2.0})],
}


def reduce_by_pool(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Pooling over a whole axis: x seen as (N, before, axes, after), windows of (axes, 1).

    sum = mean * count; asum and sumsq are sums of |x| and x^2. The batch axis cannot be reduced.
    """
    shape, kind = list(inputs[0].shape), node.attrs["kind"]
    axes = sorted({axis % len(shape) for axis in node.attrs["axes"]})
    if 0 in axes:
        return None
    links = list(_BEFORE.get(kind, []))
    here = tuple(shape)  # the shape that the chain has reached
    for first, after in _runs(axes):
        count = math.prod(shape[first:after])
        view = (shape[0], math.prod(shape[1:first]), count, math.prod(shape[after:]))
        kernel = (count, 1)
        if len(shape) == 4 and (first, after) == (2, 4):
            view, kernel = (shape[0], shape[1], shape[2], shape[3]), (shape[2], shape[3])
        if here != view:
            links.append((f"view{first}", "reshape", {"shape": (0, *view[1:])}))
        op = "max_pool" if kind == "max" else "avg_pool"
        links.append((f"pool{first}", op, {"kernel": kernel, "stride": (1, 1)}))
        here = (view[0], view[1], 1, 1 if kernel[1] > 1 else view[3])
        if (first, after) == (2, 4) and len(shape) == 4:
            here = (view[0], view[1], 1, 1)
        shape[first:after] = [1] * (after - first)
    total = math.prod(inputs[0].shape[axis] for axis in axes)
    if kind not in ("mean", "max") and total != 1:
        links.append(("total", "power", {"scale": float(total)}))
    if here != node.shape:
        links.append(("reduced", "reshape", {"shape": (0, *node.shape[1:])}))
    return chain(builder, node, inputs[0], links)


def pad_by_conv(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Zeros around x = a padded 1x1 convolution with weight 1 per channel, then slices of what is wanted.

    Another number v: pad x - v, add v. Negative padding is only the slices.
    """
    x, (top, left, bottom, right), value = inputs[0], node.attrs["padding"], float(node.attrs["value"])
    if not math.isfinite(value):
        return None
    around = (max(top, bottom, 0), max(left, right, 0))
    links: list[Link] = []
    if around != (0, 0):
        ones = np.ones((x.shape[1], 1, 1, 1), np.float32)
        links.append(("around", "conv", {"weight": ones, "padding": around, "groups": x.shape[1]}))
    if value and links:
        links = [("below", "power", {"shift": -value}), *links, ("above", "power", {"shift": value})]
    for axis, start, end in ((2, top, bottom), (3, left, right)):
        given, size = around[axis - 2], x.shape[axis] + 2 * around[axis - 2]
        first, stop = given - start, size - (given - end)
        if (first, stop) != (0, size):
            links.append((f"cut{axis}", "slice", {"axis": axis, "start": first, "stop": stop}))
    return chain(builder, node, x, links)
