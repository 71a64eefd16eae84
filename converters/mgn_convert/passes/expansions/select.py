"""Choices that depend on values, from comparisons that are exact."""

from __future__ import annotations

import numpy as np

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import result, step

_LIFT = 2.0**24
"""Values are compared this many times larger: the difference of any two then stays above 2^-126, below which
some readers take numbers for 0. Values to compare are smaller than 2^100 in magnitude.
"""

_OUT = 2.0**126
"""What a chosen score, lifted, is lowered by."""

MOST_ROUNDS = 64
"""Each takes 14 layers."""


def _where_zero(builder: GraphBuilder, node: Node, distance: Value, suffix: str) -> Value:
    """1 where d = 0, else 0, for distances of lifted values, d >= 0: relu(1 - 2^20 * d^(1/64)).

    The smallest d above 0 gives 1 - 2^20 * 0.26 in float32, and in float64 with its 2^-1074 still 1 - 9.
    """
    root = step(builder, node, "power", distance, suffix=f"{suffix}.root", power=1 / 64)
    fall = step(builder, node, "power", root, suffix=f"{suffix}.fall", scale=-(2.0**20), shift=1.0)
    return step(builder, node, "relu", fall, suffix=suffix)


def max_unpool_by_phases(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """y = sum over phases p of upsample_p(values * first_p), first_p = relu(e_p - sum of e_q for q < p).

    A phase is the map of cells at one place of every window; e_p is 1 where the phase equals the maximum of
    its window, else 0. Convolutions per channel with kernels of zeros and ones pick the phases, repeat maxima
    and values, take the first of equal ones, and put the phases back: every result is one product, with 1 or
    a power of 2.
    """
    values, source = inputs
    (rows, columns), stride = node.attrs["kernel"], node.attrs["stride"]
    n, c, high, wide = rows * columns, source.shape[1], values.shape[2], values.shape[3]
    picks = np.eye(n, dtype=np.float32).reshape(n, 1, rows, columns)
    ones = np.ones((c * n, 1, 1, 1), np.float32)
    phases = step(
        builder,
        node,
        "conv",
        source,
        suffix="phases",
        weight=np.tile(picks * np.float32(_LIFT), (c, 1, 1, 1)),
        stride=stride,
        groups=c,
    )
    listed = step(builder, node, "reshape", phases, suffix="windows", shape=(0, c, n, -1))
    best = step(builder, node, "max_pool", listed, suffix="best", kernel=(n, 1), stride=(1, 1))
    best = step(builder, node, "reshape", best, suffix="maximum", shape=(0, c, high, wide))
    best = step(builder, node, "conv", best, suffix="maxima", weight=ones, groups=c)
    below = step(builder, node, "sub", best, phases, suffix="below")
    equal = _where_zero(builder, node, below, "equal")
    earlier = np.eye(n, dtype=np.float32) - np.tri(n, k=-1, dtype=np.float32)
    before = np.tile(earlier, (c, 1)).reshape(c * n, n, 1, 1)
    unseen = step(builder, node, "conv", equal, suffix="unseen", weight=before, groups=c)
    first = step(builder, node, "relu", unseen, suffix="first")
    spread = step(builder, node, "conv", values, suffix="values", weight=ones, groups=c)
    placed = step(builder, node, "mul", spread, first, suffix="placed")
    # A kernel that reaches past its window by zeros makes the rows and columns that no window covers.
    reach = [node.shape[2 + i] - stride[i] * (values.shape[2 + i] - 1) for i in (0, 1)]
    back = np.zeros((c * n, 1, *reach), np.float32)
    back[:, :, :rows, :columns] = np.tile(picks, (c, 1, 1, 1))
    return result(builder, node, "conv_transpose", placed, weight=back, stride=stride, groups=c)


def top_channels_by_rounds(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """y = P values, P (k, C) with one 1 in each row: the channel with the best score that is left.

    In each round e is 1 at the scores that equal the greatest; r = e * (C, C - 1, ..., 1) is greatest at the
    first of them, and relu(1 - (max(r) - r)) is 1 there alone, exactly: these are small integers. The chosen
    score is lowered out of reach for the next round.
    """
    values, scores = inputs
    k, channels = node.attrs["k"], scores.shape[1]
    if k > MOST_ROUNDS or channels > 2**23:
        return None
    column = {"kernel": (channels, 1), "stride": (1, 1)}
    ones = np.ones((1, 1, channels, 1), np.float32)
    ranks = np.arange(channels, 0, -1, dtype=np.float32)

    def gap(x: Value, suffix: str) -> Value:
        """max(x) - x."""
        best = step(builder, node, "max_pool", x, suffix=f"{suffix}.best", **column)
        spread = step(builder, node, "conv_transpose", best, suffix=f"{suffix}.spread", weight=ones)
        return step(builder, node, "sub", spread, x, suffix=f"{suffix}.gap")

    left = step(builder, node, "reshape", scores, suffix="scores", shape=(0, 1, -1, 1))
    left = step(builder, node, "power", left, suffix="lifted", scale=_LIFT)
    rows = []
    for i in range(k):
        equal = _where_zero(builder, node, gap(left, f"round{i}"), f"round{i}.equal")
        ranked = step(builder, node, "scale", equal, suffix=f"round{i}.ranked", axis=2, weight=ranks)
        behind = gap(ranked, f"round{i}.first")
        near = step(builder, node, "power", behind, suffix=f"round{i}.near", scale=-1.0, shift=1.0)
        rows.append(step(builder, node, "relu", near, suffix=f"round{i}.chosen"))
        if i + 1 < k:
            lower = step(builder, node, "power", rows[-1], suffix=f"round{i}.lower", scale=_OUT)
            left = step(builder, node, "sub", left, lower, suffix=f"round{i}.left")
    chosen = rows[0] if k == 1 else step(builder, node, "concat", *rows, suffix="rows", axis=1)
    matrix = step(builder, node, "reshape", chosen, suffix="choice", shape=(0, k, channels))
    flat = step(builder, node, "reshape", values, suffix="values", shape=(0, channels, -1))
    if len(node.shape) == 3:
        return result(builder, node, "matmul", matrix, flat)
    picked = step(builder, node, "matmul", matrix, flat, suffix="picked")
    return result(builder, node, "reshape", picked, shape=(0, *node.shape[1:]))
