"""Elements of an axis in a fixed new order: some left out, some more than once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Value

_FEW = 4  # slices; a product is shorter than more of them


def pick(c: Context, x: Value, places: Mapping[int, Sequence[int]]) -> Value:
    """x with the elements `places[axis]` of each axis, in this order, as the call's result.

    Exact for finite numbers: slices side by side, or products with a matrix of 0 and 1.
    """
    if not places:
        return c.add("power", x)
    *others, last = places.items()
    for axis, wanted in others:
        x = _pick_axis(c, x, axis, wanted, is_step=True)
    return _pick_axis(c, x, *last)


def _pick_axis(c: Context, x: Value, axis: int, places: Sequence[int], *, is_step: bool = False) -> Value:
    add = c.step if is_step else c.add
    starts = [i for i, (a, b) in enumerate(pairwise(places), 1) if b != a + 1]
    runs = [(places[i], places[j - 1] + 1) for i, j in pairwise([0, *starts, len(places)])]
    if len(runs) == 1:
        return add("slice", x, axis=axis, start=runs[0][0], stop=runs[0][1])
    if len(runs) <= _FEW:
        parts = [c.step("slice", x, axis=axis, start=start, stop=stop) for start, stop in runs]
        return add("concat", *parts, axis=axis)
    end, matrix = len(x.shape) - 1, torch.eye(x.shape[axis])[list(places)]
    if axis == end:
        return add("linear", x, weight=matrix)
    if axis == 1 and end == 3:
        return add("conv", x, weight=matrix[:, :, None, None])
    order = list(range(len(x.shape)))
    order[axis], order[end] = end, axis
    turned = c.step("linear", c.step("permute", x, order=tuple(order)), weight=matrix)
    return add("permute", turned, order=tuple(order))


def every(c: Context, x: Value, axis: int, places: range) -> Value:
    """Every so manyth element; of rows and columns, by a pool whose windows have one cell."""
    if len(x.shape) != 4 or axis < 2:
        return pick(c, x, {axis: places})
    part = c.step("slice", x, axis=axis, start=places[0], stop=places[-1] + 1)
    stride = (places.step, 1) if axis == 2 else (1, places.step)
    return c.add("max_pool", part, kernel=(1, 1), stride=stride)


@rule("aten.flip.default")
def flip(c: Context, x: Value, dims: Sequence[int]) -> Value:
    axes = [c.axis(dim) for dim in dims]
    return pick(c, x, {axis: range(x.shape[axis])[::-1] for axis in axes})


@rule("aten.roll.default")
def roll(c: Context, x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Value:
    if not dims:
        raise c.refuse("it rolls all axes as one", "roll with dims")
    places: dict[int, list[int]] = {}
    for shift, dim in zip(shifts, dims, strict=True):
        axis = c.axis(dim)
        count = x.shape[axis]
        before = places.get(axis, list(range(count)))
        places[axis] = [before[(i - shift) % count] for i in range(count)]
    return pick(c, x, places)


@rule("aten.index_select.default")
def index_select(c: Context, x: Value, dim: int, index: Value | Tensor) -> Value:
    if not isinstance(index, Tensor):
        raise c.refuse("the places that it picks depend on the images")
    return pick(c, x, {c.axis(dim): index.tolist()})


def pad_by_copies(c: Context, x: Value, pad: Sequence[int], mode: str) -> Value:
    """mode: reflect, replicate or circular. pad: pairs of before and after, from the last axis on."""
    places = {}
    for i, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = len(x.shape) - 1 - i
        here = torch.arange(x.shape[axis], dtype=torch.float64)[None, None]
        places[axis] = [int(n) for n in F.pad(here, (before, after), mode)[0, 0]]
    return pick(c, x, places)


@rule(
    "aten.upsample_nearest2d.vec",
    "aten.upsample_nearest2d.default",
    "aten._upsample_nearest_exact2d.vec",
    "aten._upsample_nearest_exact2d.default",
)
def upsample_nearest(c: Context, x: Value, *given: Any) -> Value:
    """By whole factors each number times a kernel of ones, one kernel for each channel."""
    height, width = x.shape[2:]
    numbers = torch.arange(height * width, dtype=torch.float64).reshape(1, 1, height, width)
    found = c.node.target(numbers, *given)[0, 0].long()  # type: ignore[operator]
    rows, columns = (found[:, 0] // width).tolist(), (found[0] % width).tolist()
    factor = (len(rows) // height, len(columns) // width)
    if rows == _repeated(height, factor[0]) and columns == _repeated(width, factor[1]):
        ones = torch.ones(x.shape[1], 1, *factor)
        return c.add("conv_transpose", x, weight=ones, stride=factor, groups=x.shape[1])
    return pick(c, x, {2: rows, 3: columns})


def _repeated(count: int, times: int) -> list[int]:
    return [i for i in range(count) for _ in range(times)]
