"""Functions of one element."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mgn_convert.graph.ops.spec import REQUIRED, Attrs, Params, axis_of, op, require
from mgn_convert.graph.types import Array, Shape


def _same(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    return shapes[0]


def _unary(
    name: str, function: Callable[[Array, Attrs], Array], attrs: Mapping[str, Any] | None = None
) -> None:
    op(name, infer=_same, attrs=attrs)(lambda inputs, given, params: function(inputs[0], given))


def _sigmoid(x: Array, attrs: Attrs) -> Array:
    half = x.dtype.type(0.5)
    return half * np.tanh(half * x) + half


def _power(x: Array, attrs: Attrs) -> Array:
    """(shift + scale * x) ** power, Caffe's Power."""
    kind = x.dtype.type
    return np.power(kind(attrs["shift"]) + kind(attrs["scale"]) * x, kind(attrs["power"]))


def _elu(x: Array, attrs: Attrs) -> Array:
    return np.where(x > 0, x, attrs["alpha"] * np.expm1(np.minimum(x, 0)))


_erf = np.frompyfunc(math.erf, 1, 1)


def _gelu(x: Array, attrs: Attrs) -> Array:
    if attrs["approximate"] == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + np.asarray(_erf(x / math.sqrt(2)), x.dtype))


_unary("relu", lambda x, attrs: np.maximum(x, 0))
_unary("leaky_relu", lambda x, attrs: np.where(x > 0, x, attrs["slope"] * x), {"slope": REQUIRED})
_unary("elu", _elu, {"alpha": 1.0})
_unary("sigmoid", _sigmoid)
_unary("tanh", lambda x, attrs: np.tanh(x))
_unary("gelu", _gelu, {"approximate": "none"})
_unary("softplus", lambda x, attrs: np.logaddexp(0, x).astype(x.dtype))
_unary("abs", lambda x, attrs: np.abs(x))
_unary("exp", lambda x, attrs: np.exp(x))
_unary("log", lambda x, attrs: np.log(x))
_unary("power", _power, {"power": 1.0, "scale": 1.0, "shift": 0.0})
_unary("clip", lambda x, attrs: np.clip(x, attrs["min"], attrs["max"]), {"min": REQUIRED, "max": REQUIRED})
_unary("threshold", lambda x, attrs: (x > attrs["threshold"]).astype(x.dtype), {"threshold": 0.0})


def _infer_softmax(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    axis_of(attrs["axis"], len(shapes[0]))
    return shapes[0]


@op("softmax", infer=_infer_softmax, attrs={"axis": REQUIRED})
def _softmax(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x = inputs[0]
    e = np.exp(x - x.max(axis=attrs["axis"], keepdims=True))
    return e / e.sum(axis=attrs["axis"], keepdims=True)


def _infer_prelu(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape, slope = shapes[0], params["weight"]
    require(len(shape) >= 2, "takes a value of 2 or more axes", shape)
    require(slope.shape in ((), (shape[1],)), f"weight has shape ({shape[1]},) or ()", slope.shape)
    return shape


@op("prelu", infer=_infer_prelu, params={"weight": True})
def _prelu(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x, slope = inputs[0], params["weight"]
    if slope.ndim:
        slope = slope.reshape(1, -1, *[1] * (x.ndim - 2))
    return np.where(x > 0, x, slope * x)
