"""Products of two computed matrices, for readers whose matrix layers have constant weights."""

from __future__ import annotations

import math

import numpy as np

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import result, step

LARGEST = 2**28
"""Numbers that the products of one node may take, before they are summed: 1 GiB in float32."""

_AT_ONCE = 2**20
_PARTS = 8
_FEW = 16


def matmul_in_rows(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """(A B)[m, p] = sum over k of A[m, k] * B[k, p], for a part of the rows at a time.

    B (K, P) is repeated for each row by a convolution with ones, multiplied by the rows of A, and summed over
    k by a 1x1 convolution with ones. All parts share the repeated B, so that the blobs take (1 + 1/8) M K P
    numbers. Columns fewer than 16 are taken one at a time, with 2 M K P numbers. Applies up to `LARGEST`, to
    matrices with the same leading axes, the batch among them.
    """
    a, b = inputs
    m, k, p = (*a.shape[-2:], b.shape[-1])
    numbers = math.prod(a.shape) * p
    if len(a.shape) < 3 or a.shape[:-2] != b.shape[:-2] or numbers * (2 if p < _FEW else 1) > LARGEST:
        return None
    if k == 1:  # every number of A times every number of B
        return result(builder, node, "mul", a, b)
    if p < _FEW:
        return _by_columns(builder, node, a, b)
    left = step(builder, node, "reshape", a, suffix="left", shape=(-1, m, k, 1))
    right = step(builder, node, "reshape", b, suffix="right", shape=(-1, 1, k, p))
    count = m if numbers <= _AT_ONCE else -(-m // _PARTS)
    sums, repeated = [], {}
    for start in range(0, m, count):
        size, name = min(count, m - start), f"rows{start}"
        if size not in repeated:
            ones = np.ones((size, 1, 1, 1), np.float32)
            repeated[size] = step(builder, node, "conv", right, suffix=f"repeated{size}", weight=ones)
        rows = left
        if size < m:
            rows = step(builder, node, "slice", left, suffix=name, axis=1, start=start, stop=start + size)
        products = step(builder, node, "mul", repeated[size], rows, suffix=f"{name}.products")
        terms = step(builder, node, "reshape", products, suffix=f"{name}.terms", shape=(-1, k, 1, p))
        ones = np.ones((1, k, 1, 1), np.float32)
        total = step(builder, node, "conv", terms, suffix=f"{name}.sum", weight=ones)
        sums.append(step(builder, node, "reshape", total, suffix=f"{name}.result", shape=(-1, size, p)))
    return _joined(builder, node, sums, 1)


def _by_columns(builder: GraphBuilder, node: Node, a: Value, b: Value) -> Value:
    """A times each column: the column repeated for every row of A, a product, a linear layer of ones."""
    m, k, p = (*a.shape[-2:], b.shape[-1])
    left = step(builder, node, "reshape", a, suffix="left", shape=(-1, m, 1, k))
    columns = []
    for i in range(p):
        column = b
        if p > 1:
            axis = len(b.shape) - 1
            column = step(builder, node, "slice", b, suffix=f"column{i}", axis=axis, start=i, stop=i + 1)
        column = step(builder, node, "reshape", column, suffix=f"column{i}.row", shape=(-1, 1, 1, k))
        ones = np.ones((m, 1, 1, 1), np.float32)
        repeated = step(builder, node, "conv", column, suffix=f"column{i}.repeated", weight=ones)
        products = step(builder, node, "mul", left, repeated, suffix=f"column{i}.products")
        total = step(
            builder, node, "linear", products, suffix=f"column{i}.sum", weight=np.ones((1, k), np.float32)
        )
        columns.append(step(builder, node, "reshape", total, suffix=f"column{i}.result", shape=(-1, m, 1)))
    return _joined(builder, node, columns, 2)


def _joined(builder: GraphBuilder, node: Node, parts: list[Value], axis: int) -> Value:
    if len(parts) > 1 and len(node.shape) == 3:
        return result(builder, node, "concat", *parts, axis=axis)
    whole = parts[0]
    if len(parts) > 1:
        whole = step(builder, node, "concat", *parts, suffix="joined", axis=axis)
    return result(builder, node, "reshape", whole, shape=(-1, *node.shape[1:]))
