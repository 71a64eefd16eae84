"""Products of matrices."""

from __future__ import annotations

import numpy as np

from mgn_convert.formats.onnx.reading.registry import reads
from mgn_convert.formats.onnx.reading.spec import NodeReader
from mgn_convert.graph import Array, Value


@reads("Gemm")
def gemm(c: NodeReader) -> Value:
    """alpha x @ weight + beta bias."""
    x, weight = c.x, c.weight(1)
    if int(c.attributes.get("transA", 0)):
        raise c.refuse("it transposes the value computed from the images")
    if weight.ndim != 2 or len(x.shape) != 2:
        raise c.refuse("it multiplies matrices, and an operand is none")
    alpha, beta = (float(c.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    rows = weight if int(c.attributes.get("transB", 0)) else weight.T
    rows = rows if alpha == 1 else rows * np.float32(alpha)
    given = c.given(2)
    if isinstance(given, Value):
        product = c.step("linear", x, weight=rows)
        return c.add("add", product, given if beta == 1 else c.step("power", given, scale=beta))
    bias = None if given is None else _bias(c, c.weight(2), rows.shape[0])
    if bias is not None and beta != 1:
        bias = bias * np.float32(beta)
    return c.add("linear", x, weight=rows, bias=bias)


def _bias(c: NodeReader, bias: Array, count: int) -> Array:
    if bias.ndim == 2:
        bias = c.alike(bias, 0)
    if bias.size not in (1, count):
        raise c.refuse(f"its bias {c.text(bias.shape)} is not one number for each of {count} results")
    return np.broadcast_to(bias.reshape(-1), (count,))


@reads("MatMul")
def matmul(c: NodeReader) -> Value:
    """A constant matrix on the right is a linear layer."""
    x, y = c.given(0), c.given(1)
    if isinstance(x, Value) and isinstance(y, np.ndarray) and y.ndim == 2:
        return c.add("linear", x, weight=y.T)
    operands = [c.constant(v, "matrix") if isinstance(v, np.ndarray) else v for v in (x, y)]
    matrices = [v for v in operands if isinstance(v, Value) and len(v.shape) >= 2]
    if len(matrices) < 2:
        raise c.refuse("an operand of it is a vector")
    return c.add("matmul", *matrices)
