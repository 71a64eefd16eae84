"""Functions of one element, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mgn_convert.formats.onnx.reading.registry import reads
from mgn_convert.formats.onnx.reading.spec import NodeReader, number
from mgn_convert.graph import Value

_SAME = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Abs": "abs",
    "Exp": "exp",
    "Log": "log",
}
_POWERS: dict[str, dict[str, Any]] = {
    "Sqrt": {"power": 0.5},
    "Reciprocal": {"power": -1.0},
    "Neg": {"scale": -1.0},
}


@reads(*_SAME)
def same(c: NodeReader) -> Value:
    return c.add(_SAME[c.node.op_type], c.x)


@reads(*_POWERS)
def power(c: NodeReader) -> Value:
    return c.add("power", c.x, **_POWERS[c.node.op_type])


def _real(c: NodeReader, name: str, default: float) -> float:
    return float(c.attributes.get(name, default))


@reads("LeakyRelu")
def leaky_relu(c: NodeReader) -> Value:
    return c.add("leaky_relu", c.x, slope=_real(c, "alpha", 0.01))


@reads("PRelu")
def prelu(c: NodeReader) -> Value:
    """The slope broadcasts to x: one number, or one for each channel."""
    slope, x = c.weight(1), c.x
    if slope.size == 1:
        return c.add("prelu", x, weight=slope.reshape(()))
    padded = (1,) * (len(x.shape) - slope.ndim) + slope.shape
    if len(padded) != len(x.shape) or padded[1] != slope.size:
        raise c.refuse("its slopes are not one for each channel", "slopes of shape (C, 1, 1)")
    return c.add("prelu", x, weight=slope.reshape(-1))


@reads("Elu")
def elu(c: NodeReader) -> Value:
    return c.add("elu", c.x, alpha=_real(c, "alpha", 1.0))


@reads("Selu")
def selu(c: NodeReader) -> Value:
    """gamma * elu(x), by default with the two constants of Klambauer et al. 2017."""
    inner = c.step("elu", c.x, alpha=_real(c, "alpha", 1.67326319217681884765625))
    return c.add("power", inner, scale=_real(c, "gamma", 1.05070102214813232421875))


@reads("Celu")
def celu(c: NodeReader) -> Value:
    """alpha * elu(x / alpha)."""
    alpha = _real(c, "alpha", 1.0)
    if alpha == 0:
        raise c.refuse("it divides by its alpha, which is zero")
    inner = c.step("elu", c.step("power", c.x, scale=1 / alpha))
    return c.add("power", inner, scale=alpha)


@reads("HardSigmoid")
def hard_sigmoid(c: NodeReader) -> Value:
    """clip(alpha x + beta, 0, 1)."""
    inner = c.step("power", c.x, scale=_real(c, "alpha", 0.2), shift=_real(c, "beta", 0.5))
    return c.add("clip", inner, min=0.0, max=1.0)


@reads("HardSwish")
def hard_swish(c: NodeReader) -> Value:
    """x * clip(x / 6 + 1 / 2, 0, 1)."""
    gate = c.step("clip", c.step("power", c.x, scale=1 / 6, shift=0.5), min=0.0, max=1.0)
    return c.add("mul", c.x, gate)


@reads("Swish")
def swish(c: NodeReader) -> Value:
    """x * sigmoid(alpha x)."""
    alpha = _real(c, "alpha", 1.0)
    inner = c.x if alpha == 1 else c.step("power", c.x, scale=alpha)
    return c.add("mul", c.x, c.step("sigmoid", inner))


@reads("Softsign")
def softsign(c: NodeReader) -> Value:
    """x / (1 + |x|)."""
    return c.add("div", c.x, c.step("power", c.step("abs", c.x), shift=1.0))


@reads("Mish")
def mish(c: NodeReader) -> Value:
    """x * tanh(softplus(x))."""
    return c.add("mul", c.x, c.step("tanh", c.step("softplus", c.x)))


@reads("ThresholdedRelu")
def thresholded_relu(c: NodeReader) -> Value:
    """x where it is greater than alpha, else zero."""
    return c.add("mul", c.x, c.step("threshold", c.x, threshold=_real(c, "alpha", 1.0)))


@reads("Gelu")
def gelu(c: NodeReader) -> Value:
    return c.add("gelu", c.x, approximate=c.attributes.get("approximate", "none"))


@reads("Clip")
def clip(c: NodeReader) -> Value:
    limits = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        given = c.array(index)
        limits.append(default if given is None else number(given))
    low, high = limits
    if low is None or high is None:
        raise c.refuse("a limit of it is not one number")
    if (low, high) == (0.0, math.inf):
        return c.add("relu", c.x)
    return c.add("clip", c.x, min=low, max=high)


@reads("Softmax")
def softmax(c: NodeReader) -> Value:
    return _softmax(c, c.add)


@reads("LogSoftmax")
def log_softmax(c: NodeReader) -> Value:
    return c.add("log", _softmax(c, c.step))


def _softmax(c: NodeReader, add: Callable[..., Value]) -> Value:
    """Along one axis; before opset 13 along all axes from the given one on, taken together."""
    x = c.x
    axis = c.axis(int(c.attributes.get("axis", -1 if c.opset >= 13 else 1)), x)
    if c.opset >= 13 or all(n == 1 for n in x.shape[axis + 1 :]):
        return add("softmax", x, axis=axis)
    if c.images(x) not in range(axis):
        raise c.mixes()
    flat = c.reshaped(x, (*x.shape[:axis], math.prod(x.shape[axis:])), suffix="flat")
    found = c.step("softmax", flat, axis=axis)
    return add("reshape", found, shape=(*(0 for _ in x.shape[:axis]), *x.shape[axis:]))


@reads("Cast", "CastLike")
def cast(c: NodeReader) -> Value:
    """To another type of floating point numbers, which the graph does not tell apart."""
    kind = int(c.attributes.get("to", 1))
    if c.node.op_type == "CastLike":
        like = c.given(1)
        floats = isinstance(like, Value) or (isinstance(like, np.ndarray) and like.dtype.kind == "f")
        kind = 1 if floats else 0
    if kind not in (1, 10, 11, 16):
        raise c.refuse("it turns numbers of the image into integers")
    return c.x
