"""Arithmetic between values, with NumPy's broadcasting, and constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mgn_convert.errors import GraphError
from mgn_convert.graph.ops.spec import Attrs, Params, op, require
from mgn_convert.graph.types import Array, Shape


def _infer_broadcast(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise GraphError("the inputs' shapes broadcast together", got=str(shapes)) from None


def _binary(name: str, function: Callable[[Array, Array], Array]) -> None:
    op(name, arity=2, infer=_infer_broadcast)(lambda inputs, attrs, params: function(*inputs))


_binary("add", np.add)
_binary("sub", np.subtract)
_binary("mul", np.multiply)
_binary("div", np.divide)
_binary("maximum", np.maximum)


def _infer_matmul(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    a, b = shapes
    fits = len(a) >= 2 and len(b) >= 2 and a[-1] == b[-2]
    require(fits, "takes (..., M, K) and (..., K, P)", f"{a} and {b}")
    return (*_infer_broadcast([a[:-2], b[:-2]], attrs, params), a[-2], b[-1])


@op("matmul", arity=2, infer=_infer_matmul)
def _matmul(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    return np.matmul(*inputs)


@op("constant", arity=0, infer=lambda shapes, attrs, params: params["value"].shape, params={"value": True})
def _constant(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    return params["value"]


def _infer_linear(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape, weight = shapes[0], params["weight"]
    require(weight.ndim == 2, "weight has 2 axes (out, in)", weight.shape)
    require(shape[-1] == weight.shape[1], f"the last axis has {weight.shape[1]} elements", shape)
    if "bias" in params:
        require(
            params["bias"].shape == weight.shape[:1],
            f"bias has shape {weight.shape[:1]}",
            params["bias"].shape,
        )
    return (*shape[:-1], weight.shape[0])


@op("linear", infer=_infer_linear, params={"weight": True, "bias": False})
def _linear(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """x @ weight.T + bias over the last axis."""
    y = inputs[0] @ params["weight"].T
    return y + params["bias"] if "bias" in params else y
