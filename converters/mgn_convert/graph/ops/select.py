"""Choices that depend on values: unpooling to where a maximum was, and the channels with the best scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgn_convert.graph.ops.conv import windows
from mgn_convert.graph.ops.spec import OPS, REQUIRED, Attrs, Params, op, require
from mgn_convert.graph.types import Array, Shape


def _infer_max_unpool(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    values, source = shapes
    pooled = OPS["max_pool"].infer([source], {**attrs, "padding": (0, 0, 0, 0)}, {})
    require(values == pooled, f"the first input has the pooled shape {pooled}", values)
    apart = all(s >= k for s, k in zip(attrs["stride"], attrs["kernel"], strict=True))
    require(apart, "windows do not overlap", attrs)
    return source


@op(
    "max_unpool",
    arity=2,
    infer=_infer_max_unpool,
    attrs={"kernel": REQUIRED, "stride": REQUIRED},
)
def _max_unpool(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """(values, source): each value where source has the first maximum of its window; else zero."""
    values, source = inputs
    result = np.zeros_like(source)
    found = windows(source, attrs["kernel"], attrs["stride"])
    best = found.reshape(*found.shape[:4], -1).argmax(axis=-1)
    n, c, y, x = np.indices(best.shape)
    rows = y * attrs["stride"][0] + best // attrs["kernel"][1]
    columns = x * attrs["stride"][1] + best % attrs["kernel"][1]
    result[n, c, rows, columns] = values
    return result


def _infer_top_channels(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    values, scores = shapes
    require(len(scores) == 2 and scores == values[:2], f"scores have shape {values[:2]}", scores)
    require(1 <= attrs["k"] <= values[1], f"1 <= k <= {values[1]}", attrs["k"])
    return (values[0], attrs["k"], *values[2:])


@op("top_channels", arity=2, infer=_infer_top_channels, attrs={"k": REQUIRED})
def _top_channels(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """(values, scores): each image's k channels of highest scores, best first; ties, the lower one."""
    values, scores = inputs
    order = np.argsort(-scores, axis=1, kind="stable")[:, : attrs["k"]]
    return np.take_along_axis(values, order.reshape(*order.shape, *[1] * (values.ndim - 2)), axis=1)
