"""Padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgn_convert.graph.ops.spec import REQUIRED, Attrs, Params, op, require
from mgn_convert.graph.types import Array, Shape


def _infer_pad(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape = shapes[0]
    require(len(shape) == 4, "takes a value of 4 axes (N, C, H, W)", shape)
    top, left, bottom, right = attrs["padding"]
    return (shape[0], shape[1], shape[2] + top + bottom, shape[3] + left + right)


@op("pad", infer=_infer_pad, attrs={"padding": REQUIRED, "value": 0.0})
def _pad(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """padding: (top, left, bottom, right); negative sides cut."""
    x, (top, left, bottom, right) = inputs[0], attrs["padding"]
    sides = [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))]
    x = np.pad(x, ((0, 0), (0, 0), *sides), constant_values=attrs["value"])
    height, width = x.shape[2] + min(bottom, 0), x.shape[3] + min(right, 0)
    return x[:, :, max(-top, 0) : height, max(-left, 0) : width]
