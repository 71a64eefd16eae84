"""Functions of one element."""

from __future__ import annotations

import math

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import chain, result, step


def clip_by_maximum(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """clip(x, a, b) = -max(-max(x, a), -b). Exact at every size of x, which relu(x) - relu(x - b) is not.

    The constants are (0 * x + a); a lower bound of 0 is a relu; an infinite bound is no bound.
    """
    x, low, high = inputs[0], node.attrs["min"], node.attrs["max"]
    bounded_below = low is not None and low != -math.inf
    bounded_above = high is not None and high != math.inf
    if bounded_below and not bounded_above:
        if low == 0:
            return result(builder, node, "relu", x)
        floor = step(builder, node, "power", x, suffix="min", scale=0.0, shift=float(low))
        return result(builder, node, "maximum", x, floor)
    if not bounded_above:
        return chain(builder, node, x, [])
    ceiling = step(builder, node, "power", x, suffix="max", scale=0.0, shift=-float(high))
    if bounded_below and low == 0:
        x = step(builder, node, "relu", x, suffix="positive")
    elif bounded_below:
        floor = step(builder, node, "power", x, suffix="min", scale=0.0, shift=float(low))
        x = step(builder, node, "maximum", x, floor, suffix="raised")
    negative = step(builder, node, "power", x, suffix="negative", scale=-1.0)
    lowered = step(builder, node, "maximum", negative, ceiling, suffix="lowered")
    return result(builder, node, "power", lowered, scale=-1.0)


def gelu_tanh(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), the tanh form alone."""
    if node.attrs["approximate"] != "tanh":
        return None
    x, root = inputs[0], math.sqrt(2 / math.pi)
    square = step(builder, node, "power", x, suffix="square", power=2.0)
    inner = step(builder, node, "power", square, suffix="inner", scale=0.044715 * root, shift=root)
    argument = step(builder, node, "mul", x, inner, suffix="argument")
    bend = step(builder, node, "tanh", argument, suffix="tanh")
    gate = step(builder, node, "power", bend, suffix="gate", scale=0.5, shift=0.5)
    return result(builder, node, "mul", x, gate)


_ERFC = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
_ERFC_P = 0.3275911


def gelu_erf(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """relu(x) - 0.5 |x| erfc(|x| / sqrt 2), erfc(z) = t (a1 + t (a2 + ...)) exp(-z^2), t = 1 / (1 + p z).

    The rational form is Abramowitz and Stegun 7.1.26. It is off by 1.5e-7 at most, the whole by 2.2e-7,
    which is of the size of float32's own rounding.
    """
    if node.attrs["approximate"] != "none":
        return None
    x = inputs[0]
    size = step(builder, node, "abs", x, suffix="abs")
    t = step(builder, node, "power", size, suffix="t", power=-1.0, scale=_ERFC_P / math.sqrt(2), shift=1.0)
    series = step(builder, node, "power", t, suffix="a5", scale=_ERFC[0], shift=_ERFC[1])
    for i, term in enumerate(_ERFC[2:]):
        product = step(builder, node, "mul", series, t, suffix=f"t{i}")
        series = step(builder, node, "power", product, suffix=f"a{3 - i}", shift=term)
    fall = step(builder, node, "mul", series, t, suffix="series")
    square = step(builder, node, "power", x, suffix="square", power=2.0)
    half = step(builder, node, "power", square, suffix="exponent", scale=-0.5)
    bell = step(builder, node, "exp", half, suffix="bell")
    tail = step(builder, node, "mul", fall, bell, suffix="erfc")
    weighted = step(builder, node, "mul", tail, size, suffix="weighted")
    lost = step(builder, node, "power", weighted, suffix="lost", scale=0.5)
    kept = step(builder, node, "relu", x, suffix="relu")
    return result(builder, node, "sub", kept, lost)
