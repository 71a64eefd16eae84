"""Batch and instance normalisation."""

from __future__ import annotations

from typing import Any

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
