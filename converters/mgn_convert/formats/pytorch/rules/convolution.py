"""Convolution and its transpose."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, pair, rule
from mgn_convert.graph import Value


@rule("aten.conv2d.default")
def conv2d(
    c: Context,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    return _convolve(c, x, weight, bias, stride, pair(padding), dilation, groups)


@rule("aten.conv1d.default")
def conv1d(
    c: Context,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """A convolution of (N, C, 1, L)."""
    _need_constants(c, weight, bias)
    y = c.step(
        "conv",
        c.step("reshape", x, shape=(0, 0, 1, -1)),
        weight=weight.unsqueeze(2),
        bias=bias,
        stride=(1, pair(stride)[0]),
        padding=(0, pair(padding)[0]),
        dilation=(1, pair(dilation)[0]),
        groups=groups,
    )
    return c.add("reshape", y, shape=(0, 0, -1))


@rule("aten.conv2d.padding")
def conv2d_named_padding(
    c: Context,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: str = "valid",
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """padding="same" puts the odd cell at the end."""
    total = [d * (k - 1) for k, d in zip(weight.shape[2:], pair(dilation), strict=True)]
    if padding == "valid":
        total = [0, 0]
    begin = (total[0] // 2, total[1] // 2)
    if total[0] % 2 or total[1] % 2:
        x = c.step("pad", x, padding=(0, 0, total[0] % 2, total[1] % 2))
    return _convolve(c, x, weight, bias, stride, begin, dilation, groups)


def _convolve(
    c: Context, x: Value, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Value:
    _need_constants(c, weight, bias)
    return c.add(
        "conv",
        x,
        weight=weight,
        bias=bias,
        stride=pair(stride),
        padding=padding,
        dilation=pair(dilation),
        groups=groups,
    )


@rule("aten.conv_transpose2d.input")
def conv_transpose2d(
    c: Context,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Value:
    _need_constants(c, weight, bias)
    return c.add(
        "conv_transpose",
        x,
        weight=weight,
        bias=bias,
        stride=pair(stride),
        padding=pair(padding),
        output_padding=pair(output_padding),
        dilation=pair(dilation),
        groups=groups,
    )


@rule("aten.convolution.default")
def convolution(
    c: Context,
    x: Value,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Value:
    """The one call that core ATen has for both."""
    if transposed:
        return conv_transpose2d(c, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolve(c, x, weight, bias, stride, pair(padding), dilation, groups)


def _need_constants(c: Context, weight: Any, bias: Any) -> None:
    if not isinstance(weight, Tensor) or isinstance(bias, Value):
        raise c.refuse("its weights are computed from the image")
