"""Normalisation and per-channel arithmetic with constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgn_convert.graph.ops.spec import Attrs, Params, axis_of, op, require
from mgn_convert.graph.types import Array, Shape


def _infer_batch_norm(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape = shapes[0]
    require(len(shape) >= 2, "takes a value of 2 or more axes", shape)
    for name, array in params.items():
        require(array.shape == (shape[1],), f"{name} has shape ({shape[1]},)", array.shape)
    return shape


@op(
    "batch_norm",
    infer=_infer_batch_norm,
    attrs={"eps": 1e-5},
    params={"mean": True, "var": True, "weight": False, "bias": False},
)
def _batch_norm(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias, along axis 1, with running statistics."""
    x = inputs[0]
    shape = (1, -1, *[1] * (x.ndim - 2))
    scale = 1 / np.sqrt(params["var"] + x.dtype.type(attrs["eps"]))
    y = (x - params["mean"].reshape(shape)) * scale.reshape(shape)
    if "weight" in params:
        y = y * params["weight"].reshape(shape)
    return y + params["bias"].reshape(shape) if "bias" in params else y


def _infer_instance_norm(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    require(len(shapes[0]) == 4, "takes a value of 4 axes (N, C, H, W)", shapes[0])
    return _infer_batch_norm(shapes, attrs, params)


@op(
    "instance_norm",
    infer=_infer_instance_norm,
    attrs={"eps": 1e-5},
    params={"weight": False, "bias": False},
)
def _instance_norm(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """Each image's each channel to zero mean and unit (biased) variance, eps inside the root."""
    x = inputs[0]
    centred = x - x.mean(axis=(2, 3), keepdims=True)
    y = centred / np.sqrt((centred**2).mean(axis=(2, 3), keepdims=True) + x.dtype.type(attrs["eps"]))
    if "weight" in params:
        y = y * params["weight"].reshape(-1, 1, 1)
    return y + params["bias"].reshape(-1, 1, 1) if "bias" in params else y


@op(
    "mvn",
    infer=lambda shapes, attrs, params: shapes[0],
    attrs={"eps": 1e-9, "normalize_variance": True, "across_channels": False},
)
def _mvn(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """Caffe's mean-variance normalisation: eps is added outside the root."""
    x = inputs[0]
    axes = tuple(range(1 if attrs["across_channels"] else 2, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    if not attrs["normalize_variance"]:
        return centred
    return centred / (np.sqrt((centred**2).mean(axis=axes, keepdims=True)) + attrs["eps"])


def _infer_scale(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape = shapes[0]
    require(bool(params), "needs a weight or a bias", "neither")
    for name, array in params.items():
        axis = axis_of(attrs["axis"], len(shape)) if array.ndim else 0
        wanted = shape[axis : axis + array.ndim]
        require(
            array.shape == wanted, f"{name} has the shape of the axes it multiplies, {wanted}", array.shape
        )
    return shape


@op("scale", infer=_infer_scale, attrs={"axis": 1}, params={"weight": False, "bias": False})
def _scale(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """x * weight + bias; both span the axes of x from `axis` on, as many as they have."""
    x = inputs[0]

    def spread(array: Array) -> Array:
        trailing = x.ndim - axis_of(attrs["axis"], x.ndim) - array.ndim if array.ndim else 0
        return array.reshape(array.shape + (1,) * trailing)

    if "weight" in params:
        x = x * spread(params["weight"])
    return x + spread(params["bias"]) if "bias" in params else x
