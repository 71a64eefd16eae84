"""Pooling over windows, fixed or adaptive."""

from __future__ import annotations

from typing import Any

from mgn_convert.formats.pytorch.rules.spec import Context, pair, rule
from mgn_convert.graph import Value
from mgn_convert.graph.ops.pool import ceil_overhang


@rule("aten.max_pool2d.default", "aten.max_pool2d_with_indices.default")
def max_pool2d(
    c: Context,
    x: Value,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Value:
    if pair(dilation) != (1, 1):
        raise c.refuse(f"dilated pooling, dilation {pair(dilation)}")
    size, step, pad = pair(kernel), pair(stride or kernel), pair(padding)
    over = _overhang(x, size, step, pad) if ceil_mode else (0, 0)
    sides = (*pad, pad[0] + over[0], pad[1] + over[1])
    return c.add("max_pool", x, kernel=size, stride=step, padding=sides)


@rule("aten.avg_pool2d.default")
def avg_pool2d(
    c: Context,
    x: Value,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Value:
    size, step, pad = pair(kernel), pair(stride or kernel), pair(padding)
    return c.add(
        "avg_pool",
        x,
        kernel=size,
        stride=step,
        padding=(*pad, *pad),
        overhang=_overhang(x, size, step, pad) if ceil_mode else (0, 0),
        count_include_pad=count_include_pad,
        divisor=divisor,
    )


def _overhang(x: Value, kernel: Any, stride: Any, padding: Any) -> tuple[int, int]:
    height, width = (ceil_overhang(x.shape[2 + i], kernel[i], stride[i], padding[i]) for i in (0, 1))
    return (height, width)


@rule("aten.adaptive_avg_pool2d.default", "aten._adaptive_avg_pool2d.default")
def adaptive_avg_pool2d(c: Context, x: Value, output: Any) -> Value:
    return _adaptive(c, x, "mean", "avg_pool")


@rule("aten.adaptive_max_pool2d.default")
def adaptive_max_pool2d(c: Context, x: Value, output: Any) -> Value:
    return _adaptive(c, x, "max", "max_pool")


def _adaptive(c: Context, x: Value, kind: str, pool: str) -> Value:
    """One cell is a reduction, equal windows are a pooling; windows of several sizes are refused."""
    if len(x.shape) != 4:
        raise c.refuse("takes a value of 4 axes (N, C, H, W)")
    (height, width), (rows, columns) = x.shape[2:], c.out_shape[2:]
    if rows == columns == 1:
        return c.add("reduce", x, kind=kind, axes=(2, 3), keepdims=True)
    if height % rows == 0 and width % columns == 0:
        window = (height // rows, width // columns)
        return c.add(pool, x, kernel=window, stride=window)
    raise c.refuse(
        f"its windows are of different sizes: {height}x{width} does not divide into {rows}x{columns}",
        "an --input-shape that divides, or a fixed pooling",
    )
