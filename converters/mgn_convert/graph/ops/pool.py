"""Windowed pooling. Sizes round down; ceil rounding is more padding at the end (see `ceil_overhang`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgn_convert.graph.ops.conv import windows
from mgn_convert.graph.ops.spec import REQUIRED, Attrs, Params, op, require
from mgn_convert.graph.types import Array, Shape


def ceil_overhang(size: int, kernel: int, stride: int, padding: int) -> int:
    """Cells past the padded end that ceil rounding needs, 0 when sizes divide.

    A last window that would start past input and leading padding is dropped, as PyTorch always and Caffe
    with padding does.
    """
    span = size + 2 * padding - kernel
    count = -(-span // stride) + 1
    if (count - 1) * stride >= size + padding:
        count -= 1
    return max(0, (count - 1) * stride + kernel - size - 2 * padding)


def _infer_pool(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape = shapes[0]
    require(len(shape) == 4, "takes a value of 4 axes (N, C, H, W)", shape)
    top, left, bottom, right = attrs["padding"]
    over_h, over_w = attrs.get("overhang", (0, 0))
    ends = (top + bottom + over_h, left + right + over_w)
    size = [(shape[2 + i] + ends[i] - attrs["kernel"][i]) // attrs["stride"][i] + 1 for i in (0, 1)]
    for i, start in ((0, top), (1, left)):
        require(start < attrs["kernel"][i], "padding is smaller than the kernel", attrs)
        last = (size[i] - 1) * attrs["stride"][i] - start
        require(last < shape[2 + i], "every window touches the input", f"{attrs} on {shape}")
    return (shape[0], shape[1], *size)


_WINDOW = {"kernel": REQUIRED, "stride": REQUIRED, "padding": (0, 0, 0, 0)}


@op("max_pool", infer=_infer_pool, attrs=_WINDOW)
def _max_pool(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """padding: (top, left, bottom, right); padded cells never win."""
    top, left, bottom, right = attrs["padding"]
    x = np.pad(inputs[0], ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    return windows(x, attrs["kernel"], attrs["stride"]).max(axis=(4, 5))


@op(
    "avg_pool",
    infer=_infer_pool,
    attrs={**_WINDOW, "overhang": (0, 0), "count_include_pad": True, "divisor": None},
)
def _avg_pool(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """padding counts in the divisor if count_include_pad; the overhang (bottom, right) never does."""
    x, (top, left, bottom, right), (over_h, over_w) = inputs[0], attrs["padding"], attrs["overhang"]
    border = ((0, 0), (0, 0), (top, bottom), (left, right))
    overhang = ((0, 0), (0, 0), (0, over_h), (0, over_w))
    counted = np.pad(
        np.ones((1, 1, *x.shape[2:]), x.dtype), border, constant_values=attrs["count_include_pad"]
    )
    total = windows(np.pad(np.pad(x, border), overhang), attrs["kernel"], attrs["stride"]).sum(axis=(4, 5))
    if attrs["divisor"]:
        return total / attrs["divisor"]
    return total / windows(np.pad(counted, overhang), attrs["kernel"], attrs["stride"]).sum(axis=(4, 5))
