"""Pooling over windows, fixed or adaptive."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mgn_convert.formats.pytorch.rules.spec import Context, Indices, index_rule, pair, rule
from mgn_convert.graph import Value
from mgn_convert.graph.ops.pool import ceil_overhang


@dataclass(frozen=True)
class Places(Indices):
    """Where in `source` the maxima of a pooling are. sides: its padding, (top, left, bottom, right)."""

    source: Value
    kernel: tuple[int, int]
    stride: tuple[int, int]
    sides: tuple[int, int, int, int]


@rule("aten.max_pool2d.default")
def max_pool2d(c: Context, x: Value, *given: Any, **named: Any) -> Value:
    return max_pool2d_with_indices(c, x, *given, **named)[0]


@rule("aten.max_pool2d_with_indices.default")
def max_pool2d_with_indices(
    c: Context,
    x: Value,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> tuple[Value, Places]:
    if pair(dilation) != (1, 1):
        raise c.refuse(f"dilated pooling, dilation {pair(dilation)}")
    size, step, pad = pair(kernel), pair(stride or kernel), pair(padding)
    over = _overhang(x, size, step, pad) if ceil_mode else (0, 0)
    sides = (*pad, pad[0] + over[0], pad[1] + over[1])
    pooled = c.add("max_pool", x, kernel=size, stride=step, padding=sides)
    return pooled, Places("max_pool2d", x, size, step, sides)


@index_rule("aten.max_unpool2d.default")
def max_unpool2d(c: Context, x: Value, places: Indices, output: Any) -> Value:
    """The window of each value is known from the pooling, so its input stands for the indices."""
    if not isinstance(places, Places):
        raise c.refuse(f"its indices are those of {places.call}, not of a max_pool2d")
    if any(places.sides):
        raise c.refuse("the pooling that chose its indices has padding or rounds up", "pooling without them")
    if any(s < k for s, k in zip(places.stride, places.kernel, strict=True)):
        raise c.refuse("the windows of the pooling that chose its indices overlap", "stride=kernel_size")
    if tuple(c.out_shape[1:]) != places.source.shape[1:]:
        size = "x".join(map(str, places.source.shape[2:]))
        raise c.refuse(f"its result differs in size from what was pooled, {size}", "output_size")
    return c.add("max_unpool", x, places.source, kernel=places.kernel, stride=places.stride)


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
    """One cell is a reduction, equal windows are a pooling; windows of several sizes are pooled in turn."""
    if len(x.shape) != 4:
        raise c.refuse("takes a value of 4 axes (N, C, H, W)")
    if c.out_shape[2:] == (1, 1):
        return c.add("reduce", x, kind=kind, axes=(2, 3), keepdims=True)
    rows, columns = (_windows(n, count) for n, count in zip(x.shape[2:], c.out_shape[2:], strict=True))
    even = [_even(windows) for windows in (rows, columns)]
    if even[0] and even[1]:
        kernel, stride = zip(*even, strict=True)
        return c.add(pool, x, kernel=kernel, stride=stride)
    if len(columns) > 1 or columns[0][1] != x.shape[3]:
        return _along(c, _along(c, x, pool, 2, rows, c.step), pool, 3, columns, c.add)
    parts = [_cut(c, x, 2, *window) for window in rows]
    cells = [c.step("reduce", part, kind=kind, axes=(2, 3), keepdims=True) for part in parts]
    return c.add("concat", *cells, axis=2)


def _along(
    c: Context, x: Value, pool: str, axis: int, windows: Sequence[tuple[int, int]], last: Callable[..., Value]
) -> Value:
    """Pool along one axis alone; the two axes of a rectangle can be pooled one after the other."""

    def pooled(add: Callable[..., Value], part: Value, length: int, stride: int) -> Value:
        sizes = {"kernel": (1, length), "stride": (1, stride)}
        return add(pool, part, **{k: v if axis == 3 else v[::-1] for k, v in sizes.items()})

    if found := _even(windows):
        return pooled(last, x, *found)
    parts = [(_cut(c, x, axis, first, stop), stop - first) for first, stop in windows]
    return last("concat", *(pooled(c.step, part, n, n) for part, n in parts), axis=axis)


def _cut(c: Context, x: Value, axis: int, start: int, stop: int) -> Value:
    return c.step("slice", x, axis=axis, start=start, stop=stop)


def _windows(size: int, count: int) -> list[tuple[int, int]]:
    """PyTorch's adaptive windows: from floor(i size / count) to ceil((i + 1) size / count)."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _even(windows: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """(length, stride) where all windows have the same, else None."""
    lengths = {stop - first for first, stop in windows}
    strides = {after[0] - before[0] for before, after in itertools.pairwise(windows)} or set(lengths)
    if len(lengths) > 1 or len(strides) > 1 or 0 in strides:
        return None
    return lengths.pop(), strides.pop()
