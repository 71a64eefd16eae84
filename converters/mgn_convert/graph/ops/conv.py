"""Convolution and its transpose.

Weights as in PyTorch and Caffe: (out, in/groups, kh, kw), and (in, out/groups, kh, kw) for the transpose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgn_convert.graph.ops.spec import Attrs, Params, op, require
from mgn_convert.graph.types import Array, Shape


def _infer_conv(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape, weight, groups = shapes[0], params["weight"], attrs["groups"]
    require(len(shape) == 4, "takes a value of 4 axes (N, C, H, W)", shape)
    require(weight.ndim == 4, "weight has 4 axes (out, in/groups, kh, kw)", weight.shape)
    fits = groups > 0 and weight.shape[1] * groups == shape[1] and weight.shape[0] % groups == 0
    require(
        fits, "channels, groups and weight agree", f"{shape[1]} channels, groups {groups}, {weight.shape}"
    )
    _check_bias(params, weight.shape[0])
    size = []
    for i in (0, 1):
        reach = attrs["dilation"][i] * (weight.shape[2 + i] - 1) + 1
        size.append((shape[2 + i] + 2 * attrs["padding"][i] - reach) // attrs["stride"][i] + 1)
    return (shape[0], weight.shape[0], *size)


def _check_bias(params: Params, channels: int) -> None:
    if "bias" in params:
        require(params["bias"].shape == (channels,), f"bias has shape ({channels},)", params["bias"].shape)


def windows(
    x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int] = (1, 1)
) -> Array:
    """Strided views of every window of x (N, C, H, W): (N, C, out_h, out_w, kh, kw)."""
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


@op(
    "conv",
    infer=_infer_conv,
    attrs={"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1},
    params={"weight": True, "bias": False},
)
def _conv(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x, weight, groups = inputs[0], params["weight"], attrs["groups"]
    (ph, pw), (sh, sw), (dh, dw) = attrs["padding"], attrs["stride"], attrs["dilation"]
    out = _infer_conv([x.shape], attrs, params)
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    x = x.reshape(out[0], groups, -1, *x.shape[2:])
    filters = weight.reshape(groups, out[1] // groups, *weight.shape[1:])
    y = np.zeros((out[0], groups, out[1] // groups, out[2] * out[3]), x.dtype)
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            rows = slice(i * dh, i * dh + (out[2] - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (out[3] - 1) * sw + 1, sw)
            taps = x[..., rows, columns].reshape(*x.shape[:3], -1)
            y += np.matmul(filters[:, :, :, i, j], taps)
    y = y.reshape(out)
    return y + params["bias"].reshape(-1, 1, 1) if "bias" in params else y


def _infer_conv_transpose(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape, weight, groups = shapes[0], params["weight"], attrs["groups"]
    require(len(shape) == 4, "takes a value of 4 axes (N, C, H, W)", shape)
    require(weight.ndim == 4, "weight has 4 axes (in, out/groups, kh, kw)", weight.shape)
    fits = groups > 0 and weight.shape[0] == shape[1] and shape[1] % groups == 0
    require(
        fits, "channels, groups and weight agree", f"{shape[1]} channels, groups {groups}, {weight.shape}"
    )
    _check_bias(params, weight.shape[1] * groups)
    size = []
    for i in (0, 1):
        reach = attrs["dilation"][i] * (weight.shape[2 + i] - 1) + 1
        start = attrs["stride"][i] * (shape[2 + i] - 1) - 2 * attrs["padding"][i]
        size.append(start + reach + attrs["output_padding"][i])
    return (shape[0], weight.shape[1] * groups, *size)


@op(
    "conv_transpose",
    infer=_infer_conv_transpose,
    attrs={"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "output_padding": (0, 0)},
    params={"weight": True, "bias": False},
)
def _conv_transpose(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x, weight, groups = inputs[0], params["weight"], attrs["groups"]
    out = _infer_conv_transpose([x.shape], attrs, params)
    (sh, sw), (dh, dw), (ph, pw) = attrs["stride"], attrs["dilation"], attrs["padding"]
    full = np.zeros((out[0], out[1], out[2] + 2 * ph, out[3] + 2 * pw), x.dtype)
    grouped = x.reshape(x.shape[0], groups, -1, x.shape[2] * x.shape[3])
    filters = weight.reshape(groups, -1, *weight.shape[1:])
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            part = np.matmul(filters[:, :, :, i, j].transpose(0, 2, 1), grouped)
            rows = slice(i * dh, i * dh + sh * x.shape[2], sh)
            columns = slice(j * dw, j * dw + sw * x.shape[3], sw)
            full[:, :, rows, columns] += part.reshape(out[0], out[1], x.shape[2], x.shape[3])
    y = full[:, :, ph : ph + out[2], pw : pw + out[3]]
    return y + params["bias"].reshape(-1, 1, 1) if "bias" in params else y
