"""Values moved about and cut, and reductions."""

from __future__ import annotations

import math
from typing import Any

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


LARGEST_TURN = 2**22
"""Weights that an exchange of axes may take: 16 MiB in float32, for two axes of 2048."""


def permute_by_conv(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Neighbouring axes change places by a convolution whose kernel is the identity matrix.

    x (P, K, R), R what follows them, seen as one channel (P, K * R), and K kernels (1, K) with dilation R:
    y[k, p, r] = sum over j of [j = k] * x[p, j * R + r]. Or seen as P channels (K, R), and a transposed
    convolution with P kernels: y[k, p * R + r] = sum over q of [q = p] * x[q, k, r]. The smaller weights are
    taken. Every result is one product with 1, so it is exact for finite values. The batch stays first.
    """
    shape, order = inputs[0].shape, [int(axis) for axis in node.attrs["order"]]
    if order[0] != 0:
        return None
    wanted = [axis for axis in order[1:] if shape[axis] != 1]
    here, links = sorted(wanted), []
    for place, axis in enumerate(wanted):
        at = here.index(axis)
        if at == place:
            continue
        stop = at + 1  # axes that move on together are moved at once
        while stop < len(here) and here[stop] == wanted[place + stop - at]:
            stop += 1
        p, k, rest = (
            math.prod(shape[i] for i in here[a:b]) for a, b in ((place, at), (at, stop), (stop, None))
        )
        turn = _turn(p, k, rest, f"turn{place}")
        if turn is None:
            return None
        links += turn
        here = here[:place] + here[at:stop] + here[place:at] + here[stop:]
    if not links:
        return None
    return chain(builder, node, inputs[0], [*links, ("turned", "reshape", {"shape": (-1, *node.shape[1:])})])


def _turn(p: int, k: int, rest: int, name: str) -> list[Link] | None:
    """Links that exchange two axes of sizes p and k before `rest` numbers."""
    reach = (p - 1) * rest + 1
    if min(k * k, p * reach) > LARGEST_TURN:
        return None
    if k * k <= p * reach:
        weight = np.eye(k, dtype=np.float32).reshape(k, 1, 1, k)
        view, op = (-1, 1, p, k * rest), "conv"
        fields: dict[str, Any] = {"weight": weight, "dilation": (1, rest)}
    else:
        weight = np.zeros((p, 1, 1, reach), np.float32)
        weight[np.arange(p), 0, 0, np.arange(p) * rest] = 1
        view, op, fields = (-1, p, k, rest), "conv_transpose", {"weight": weight}
    return [(f"{name}.view", "reshape", {"shape": view}), (name, op, fields)]


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


_LONG = 256

_BEFORE: dict[str, list[Link]] = {
    "asum": [("magnitude", "abs", {})],
    "sumsq": [("square", "power", {"power": 2.0})],
}


def _divisor(count: int) -> int:
    """The divisor of a long count that is nearest below its root; 1 for what one window does well."""
    return next(n for n in range(math.isqrt(count), 0, -1) if count % n == 0) if count > _LONG else 1


def reduce_by_pool(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Pooling over a whole axis: x seen as (N, before, axes, after), windows of (axes, 1).

    sum = mean * count; asum and sumsq are sums of |x| and x^2. The batch axis cannot be reduced. A long mean
    is a mean of means: engines add up a window in float32, one number after the other.
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
        if kernel[1] == 1 and op == "avg_pool" and (part := _divisor(count)) > 1:
            links.append((f"parts{first}", op, {"kernel": (part, 1), "stride": (part, 1)}))
            kernel = (count // part, 1)
        if min(kernel) > 1 and op == "avg_pool" and count > _LONG:
            links.append((f"rows{first}", op, {"kernel": (1, kernel[1]), "stride": (1, 1)}))
            kernel = (kernel[0], 1)
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
