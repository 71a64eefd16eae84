"""Normalisation: by running statistics, and by the image's own over places, groups or the last axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mgn_convert.formats.onnx.reading.registry import reads
from mgn_convert.formats.onnx.reading.spec import NodeReader
from mgn_convert.graph import Array, Shape, Value


@reads("BatchNormalization")
def batch_norm(c: NodeReader) -> Value:
    if int(c.attributes.get("training_mode", 0)):
        raise c.refuse("it normalises by the statistics of the batch", "training_mode 0")
    names = ("weight", "bias", "mean", "var")
    params: dict[str, Any] = {name: c.weight(i) for i, name in enumerate(names, start=1)}
    return c.add("batch_norm", c.x, eps=_eps(c), **params)


@reads("InstanceNormalization")
def instance_norm(c: NodeReader) -> Value:
    """Over all places of a channel; places along one axis or many are seen as along one."""
    x, weight, bias = c.x, c.weight(1), c.weight(2)
    if len(x.shape) == 4:
        return c.add("instance_norm", x, weight=weight, bias=bias, eps=_eps(c))
    if len(x.shape) < 3:
        raise c.refuse("it has no places to normalise over")
    flat = c.reshaped(x, (*x.shape[:2], 1, math.prod(x.shape[2:])), suffix="flat")
    return c.reshaped(c.step("instance_norm", flat, weight=weight, bias=bias, eps=_eps(c)), x.shape)


@reads("LayerNormalization")
def layer_norm(c: NodeReader) -> Value:
    """Instance norm of x seen as (N, places, 1, normalised numbers), then weight and bias."""
    x = c.x
    axis = c.axis(int(c.attributes.get("axis", -1)), x)
    images = c.images(x)
    if images is None or images > axis:
        raise c.mixes()
    seen: Shape | None = (x.shape[0], math.prod(x.shape[1:axis]), 1, math.prod(x.shape[axis:]))
    if images > 0:
        seen = (math.prod(x.shape[:axis]), 1, 1, math.prod(x.shape[axis:]))
    elif len(x.shape) == 4 and axis == 2:
        seen = None
    wanted = x.shape[axis:]
    weight, bias = (_spread(c, c.array(i), wanted) for i in (1, 2))
    return _normal(c, seen, {"axis": axis, "weight": weight, "bias": bias})


@reads("GroupNormalization")
def group_norm(c: NodeReader) -> Value:
    """Instance norm of x seen as (N, groups, 1, channels of a group times places), opset 21 on."""
    x, groups = c.x, int(c.attributes.get("num_groups", 0))
    if len(x.shape) < 2 or groups < 1 or x.shape[1] % groups:
        raise c.refuse(f"its {groups} groups do not divide its channels")
    seen = (x.shape[0], groups, 1, math.prod(x.shape[1:]) // groups)
    return _normal(c, seen, {"axis": 1, "weight": c.weight(1), "bias": c.weight(2)})


def _normal(c: NodeReader, seen: Shape | None, scale: dict[str, Any]) -> Value:
    x = c.x if seen is None else c.reshaped(c.x, seen, suffix="seen")
    bare = scale["weight"] is None and scale["bias"] is None
    if seen is None and bare:
        return c.add("instance_norm", x, eps=_eps(c))
    x = c.step("instance_norm", x, eps=_eps(c))
    if bare:
        return c.reshaped(x, c.x.shape)
    if seen is not None:
        x = c.reshaped(x, c.x.shape, suffix="unseen")
    return c.add("scale", x, **scale)


def _spread(c: NodeReader, array: Array | None, wanted: Shape) -> Array | None:
    return None if array is None else np.broadcast_to(array, wanted)


@reads("LpNormalization")
def lp_norm(c: NodeReader) -> Value:
    """x / |x|, the norm of order 1 or 2 along one axis."""
    axis, order = c.axis(int(c.attributes.get("axis", -1)), c.x), int(c.attributes.get("p", 2))
    if order not in (1, 2):
        raise c.refuse(f"it is a norm of order {order}", "order 1 or 2")
    kind = "asum" if order == 1 else "sumsq"
    length = c.step("reduce", c.x, kind=kind, axes=(axis,), keepdims=True)
    return c.add("div", c.x, length if order == 1 else c.step("power", length, power=0.5))


def _eps(c: NodeReader) -> float:
    return float(c.attributes.get("epsilon", 1e-5))
