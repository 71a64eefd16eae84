"""Normalisation: by running statistics, and by the image's own over places, groups or the last axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Value


@rule("aten._native_batch_norm_legit_no_training.default")
def batch_norm_inference(
    c: Context, x: Value, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float
) -> Value:
    return c.add("batch_norm", x, weight=weight, bias=bias, mean=mean, var=var, eps=eps)


@rule("aten.batch_norm.default")
def batch_norm(
    c: Context,
    x: Value,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn: bool = True,
) -> Value:
    if training or mean is None:
        raise c.refuse("it normalises by the statistics of the batch")
    return batch_norm_inference(c, x, weight, bias, mean, var, momentum, eps)


@rule("aten._native_batch_norm_legit.no_stats")
def batch_norm_without_statistics(c: Context, *given: Any) -> Value:
    raise c.refuse("it normalises by the statistics of the batch", "track_running_stats=True")


@rule("aten.instance_norm.default")
def instance_norm(
    c: Context,
    x: Value,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn: bool = True,
) -> Value:
    if use_input_stats:
        return c.add("instance_norm", x, weight=weight, bias=bias, eps=eps)
    return batch_norm_inference(c, x, weight, bias, mean, var, momentum, eps)


@rule("aten.layer_norm.default", "aten.native_layer_norm.default")
def layer_norm(
    c: Context,
    x: Value,
    sizes: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Value:
    """Instance norm of x seen as (N, places, 1, normalised numbers), then weight and bias."""
    first = c.axis(-len(sizes))
    if len(x.shape) == 4 and first == 2:
        return _normal(c, x, None, weight, bias, eps, first)
    places = math.prod(x.shape[1:first])
    return _normal(c, x, (0, places, 1, math.prod(sizes)), weight, bias, eps, first)


@rule("aten.group_norm.default")
def group_norm(
    c: Context,
    x: Value,
    groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Value:
    """Instance norm of x seen as (N, groups, 1, channels of a group times places)."""
    return _normal(c, x, (0, groups, 1, -1), weight, bias, eps, 1)


@rule("aten.native_group_norm.default")
def native_group_norm(
    c: Context, x: Value, weight: Any, bias: Any, n: Any, channels: Any, places: Any, groups: int, eps: float
) -> Value:
    return group_norm(c, x, groups, weight, bias, eps)


def _normal(
    c: Context, x: Value, seen: tuple[int, ...] | None, weight: Any, bias: Any, eps: float, axis: int
) -> Value:
    """Normalise x `seen` in another shape; weight and bias span the axes of x from `axis` on."""
    if isinstance(weight, Value) or isinstance(bias, Value):
        raise c.refuse("its weights are computed from the image")
    steps: list[tuple[str, dict[str, Any]]] = [("instance_norm", {"eps": eps})]
    if seen is not None:
        steps = [("reshape", {"shape": seen}), *steps, ("reshape", {"shape": (0, *x.shape[1:])})]
    if isinstance(weight, Tensor) or isinstance(bias, Tensor):
        steps.append(("scale", {"axis": axis, "weight": weight, "bias": bias}))
    for op, fields in steps[:-1]:
        x = c.step(op, x, **fields)
    op, fields = steps[-1]
    return c.add(op, x, **fields)
