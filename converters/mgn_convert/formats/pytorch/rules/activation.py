"""Activations and other functions of one element."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, number, rule
from mgn_convert.graph import Value

_SAME = {
    "aten.relu.default": "relu",
    "aten.sigmoid.default": "sigmoid",
    "aten.tanh.default": "tanh",
    "aten.abs.default": "abs",
    "aten.exp.default": "exp",
    "aten.log.default": "log",
}
_POWERS = {
    "aten.sqrt.default": {"power": 0.5},
    "aten.rsqrt.default": {"power": -0.5},
    "aten.square.default": {"power": 2.0},
    "aten.reciprocal.default": {"power": -1.0},
    "aten.neg.default": {"scale": -1.0},
}


@rule(*_SAME)
def same(c: Context, x: Value) -> Value:
    return c.add(_SAME[str(c.node.target)], x)


@rule(*_POWERS)
def power(c: Context, x: Value) -> Value:
    return c.add("power", x, **_POWERS[str(c.node.target)])


@rule("aten.leaky_relu.default")
def leaky_relu(c: Context, x: Value, slope: float = 0.01) -> Value:
    return c.add("leaky_relu", x, slope=slope)


@rule("aten.prelu.default", "aten._prelu_kernel.default")
def prelu(c: Context, x: Value, weight: Any) -> Value:
    if not isinstance(weight, Tensor):
        raise c.refuse("its slopes are computed from the image")
    return c.add("prelu", x, weight=weight.reshape(()) if weight.numel() == 1 else weight.reshape(-1))


@rule("aten.elu.default")
def elu(c: Context, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    if input_scale != 1:
        raise c.refuse(f"it scales its input by {input_scale}")
    if scale == 1:
        return c.add("elu", x, alpha=float(alpha))
    return c.add("power", c.step("elu", x, alpha=float(alpha)), scale=float(scale))


@rule("aten.selu.default")
def selu(c: Context, x: Value) -> Value:
    """The two constants of Klambauer et al. 2017."""
    return elu(c, x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


@rule("aten.celu.default")
def celu(c: Context, x: Value, alpha: float = 1) -> Value:
    """alpha * elu(x / alpha)."""
    return c.add("power", c.step("elu", c.step("power", x, scale=1 / alpha)), scale=float(alpha))


@rule("aten.hardtanh.default", "aten.clamp.default")
def clamp(c: Context, x: Value, low: Any = None, high: Any = None) -> Value:
    if str(c.node.target) == "aten.hardtanh.default":
        low, high = (-1 if low is None else low), (1 if high is None else high)
    return c.add(
        "clip", x, min=-math.inf if low is None else float(low), max=math.inf if high is None else float(high)
    )


@rule("aten.clamp_min.default")
def clamp_min(c: Context, x: Value, low: float) -> Value:
    return clamp(c, x, low, None)


@rule("aten.clamp_max.default")
def clamp_max(c: Context, x: Value, high: float) -> Value:
    return clamp(c, x, None, high)


@rule("aten.relu6.default")
def relu6(c: Context, x: Value) -> Value:
    return clamp(c, x, 0, 6)


@rule("aten.silu.default")
def silu(c: Context, x: Value) -> Value:
    return c.add("mul", x, c.step("sigmoid", x))


@rule("aten.hardsigmoid.default")
def hardsigmoid(c: Context, x: Value) -> Value:
    """clip(x / 6 + 1 / 2, 0, 1)."""
    return c.add("clip", c.step("power", x, scale=1 / 6, shift=0.5), min=0.0, max=1.0)


@rule("aten.hardswish.default")
def hardswish(c: Context, x: Value) -> Value:
    """x * hardsigmoid(x)."""
    gate = c.step("clip", c.step("power", x, scale=1 / 6, shift=0.5), min=0.0, max=1.0)
    return c.add("mul", x, gate)


@rule("aten.mish.default")
def mish(c: Context, x: Value) -> Value:
    """x * tanh(softplus(x))."""
    return c.add("mul", x, c.step("tanh", c.step("softplus", x)))


@rule("aten.gelu.default")
def gelu(c: Context, x: Value, approximate: str = "none") -> Value:
    return c.add("gelu", x, approximate=approximate)


@rule("aten.softplus.default")
def softplus(c: Context, x: Value, beta: float = 1, threshold: float = 20) -> Value:
    """log(1 + exp(beta x)) / beta; where PyTorch returns x, past the threshold, they differ by < 2.1e-9."""
    if beta == 1:
        return c.add("softplus", x)
    inner = c.step("softplus", c.step("power", x, scale=float(beta)))
    return c.add("power", inner, scale=1 / beta)


@rule("aten.softmax.int", "aten._softmax.default")
def softmax(c: Context, x: Value, dim: int, dtype: Any = None) -> Value:
    return c.add("softmax", x, axis=c.axis(dim))


@rule("aten.log_softmax.int", "aten._log_softmax.default")
def log_softmax(c: Context, x: Value, dim: int, dtype: Any = None) -> Value:
    return c.add("log", c.step("softmax", x, axis=c.axis(dim)))


@rule("aten.log_sigmoid.default")
def log_sigmoid(c: Context, x: Value) -> Value:
    """-softplus(-x)."""
    negated = c.step("power", x, scale=-1.0)
    return c.add("power", c.step("softplus", negated), scale=-1.0)


@rule("aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor")
def pow_(c: Context, x: Any, exponent: Any) -> Value:
    value = number(exponent)
    if value is None or not isinstance(x, Value):
        raise c.refuse("its exponent is not one number")
    return c.add("power", x, power=value)
