"""Values moved about, cut and joined."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from mgn_convert.formats.pytorch.rules.picking import every, pad_by_copies
from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Shape, Value
from mgn_convert.graph.batch import batch_free

_BROADCASTING = {f"aten.{name}.Tensor" for name in ("add", "sub", "mul", "div", "pow")} | {
    "aten.maximum.default"
}


@rule(
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
)
def reshape(c: Context, x: Value, *sizes: Any) -> Value:
    return c.reshape(x)


@rule("aten.expand.default", "aten.expand_as.default", "aten.repeat.default")
def expand(c: Context, x: Value | Tensor, size: Any, implicit: bool = False) -> Value | Tensor:
    """Left to the arithmetic that uses it, which broadcasts by itself; else a sum with zeros.

    Constants that are repeated for each image stay as they are for one.
    """
    if isinstance(x, Tensor):
        if not (len(x.shape) == len(c.out_shape) and x.shape[0] == 1 and c.out_shape[0] == c.batch):
            raise c.refuse("it repeats a constant in another way than once for each image")
        return x.expand((1, *c.out_shape[1:]))
    repeats = str(c.node.target) == "aten.repeat.default"
    if repeats and any(n != 1 != m for n, m in zip(x.shape[1:], size[1:], strict=False)):
        raise c.refuse("it repeats axes that are longer than one")
    if len(x.shape) != len(c.out_shape):
        raise c.refuse("it adds leading axes")
    if all(str(user.target) in _BROADCASTING and _fills(user, c.node) for user in c.node.users):
        return x
    return c.add("add", x, c.value(torch.zeros((1, *c.out_shape[1:]))))


def _fills(user: fx.Node, expanded: fx.Node) -> bool:
    """Whether another operand of `user` has the shape of the result, and not by an expansion of its own."""
    wanted = user.meta["val"].shape
    others = [n for n in user.all_input_nodes if n is not expanded and "expand" not in str(n.target)]
    return any(n.meta["val"].shape == wanted for n in others)


@rule("aten.permute.default")
def permute(c: Context, x: Value, order: Sequence[int]) -> Value:
    return c.add("permute", x, order=tuple(axis % len(x.shape) for axis in order))


@rule("aten.transpose.int")
def transpose(c: Context, x: Value, first: int, second: int) -> Value:
    order = list(range(len(x.shape)))
    order[first], order[second] = order[second], order[first]
    return c.add("permute", x, order=tuple(order))


def _map_of(c: Context, x: Value) -> Shape:
    if len(x.shape) != 4:
        raise c.refuse("its images are no maps of channels")
    return x.shape[1:]


@rule("aten.pixel_shuffle.default")
def pixel_shuffle(c: Context, x: Value, factor: int) -> Value:
    """(N, C r r, H, W) to (N, C, H r, W r)."""
    channels, height, width = _map_of(c, x)
    split = c.step("reshape", x, shape=(0, channels // factor**2, factor, factor, height, width))
    return c.reshape(c.step("permute", split, order=(0, 1, 4, 2, 5, 3)))


@rule("aten.pixel_unshuffle.default")
def pixel_unshuffle(c: Context, x: Value, factor: int) -> Value:
    """(N, C, H r, W r) to (N, C r r, H, W)."""
    channels, height, width = _map_of(c, x)
    split = c.step("reshape", x, shape=(0, channels, height // factor, factor, width // factor, factor))
    return c.reshape(c.step("permute", split, order=(0, 1, 3, 5, 2, 4)))


@rule("aten.channel_shuffle.default", "aten.native_channel_shuffle.default")
def channel_shuffle(c: Context, x: Value, groups: int) -> Value:
    """Channel j of group i of (N, groups * K, ...) becomes channel i of j: (N, K * groups, ...)."""
    split = c.step("reshape", x, shape=(0, groups, x.shape[1] // groups, *x.shape[2:]))
    order = (0, 2, 1, *range(3, len(split.shape)))
    return c.reshape(c.step("permute", split, order=order))


@rule("aten.t.default", "aten.numpy_T.default")
def reverse_axes(c: Context, x: Value) -> Value:
    return c.add("permute", x, order=tuple(reversed(range(len(x.shape)))))


@rule("aten.slice.Tensor")
def slice_(
    c: Context, x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    axis = c.axis(dim)
    first, stop, _ = slice(start, None if end == sys.maxsize else end).indices(x.shape[axis])
    if step != 1 and stop > first + step:
        return every(c, x, axis, range(first, stop, step))
    stop = min(stop, first + 1) if step != 1 else stop
    return c.add("slice", x, axis=axis, start=first, stop=stop)


@rule("aten.narrow.default")
def narrow(c: Context, x: Value, dim: int, start: int, length: int) -> Value:
    return slice_(c, x, dim, start, start % x.shape[c.axis(dim)] + length)


@rule("aten.select.int")
def select(c: Context, x: Value, dim: int, index: int) -> Value:
    axis = c.axis(dim)
    start = index % x.shape[axis]
    part = c.step("slice", x, axis=axis, start=start, stop=start + 1)
    traced = c.in_shapes[0]
    cut = (*traced[:axis], 1, *traced[axis + 1 :])
    return c.add("reshape", part, shape=batch_free(cut, c.out_shape, c.batch))


@rule("aten.cat.default")
def cat(c: Context, parts: Sequence[Value | Tensor], dim: int = 0) -> Value:
    if len(parts) == 1 and isinstance(parts[0], Value):
        return parts[0]
    axis = dim % len(c.out_shape)
    if axis == 0:
        raise c.refuse("it puts images behind each other, and axis 0 holds the images of a batch")
    beside = next(part for part in parts if isinstance(part, Value))
    values = [part if isinstance(part, Value) else _beside(c, part, beside, axis) for part in parts]
    return c.add("concat", *values, axis=axis)


def _beside(c: Context, constant: Tensor, x: Value, axis: int) -> Value:
    """`constant` for each image, made of the first numbers of x along `axis`: 0 * x + constant."""
    if constant.shape[0] != 1:
        return c.value(constant)  # a constant for so many images, and for no other number
    length = constant.shape[axis]
    fits = length <= x.shape[axis]
    first = c.step("slice", x, axis=axis, start=0, stop=length if fits else 1)
    nothing = c.step("power", first, scale=0.0)
    if fits:
        return c.step("scale", nothing, axis=1, bias=constant[0])
    return c.step("add", nothing, c.value(constant))


@rule("aten.stack.default")
def stack(c: Context, parts: Sequence[Value | Tensor], dim: int = 0) -> Value:
    axis = dim % len(c.out_shape)
    if axis == 0:
        raise c.refuse("it makes a new first axis, and axis 0 holds the images")
    wide = []
    for part in parts:
        value = c.value(part)
        traced = (*c.out_shape[:axis], *c.out_shape[axis + 1 :])
        shape = batch_free(traced, (*traced[:axis], 1, *traced[axis:]), c.batch)
        wide.append(c.step("reshape", value, shape=shape))
    return c.add("concat", *wide, axis=axis)


@rule("aten.constant_pad_nd.default")
def constant_pad(c: Context, x: Value, pad: Sequence[int], value: float = 0) -> Value:
    """pad: (left, right, top, bottom), in pairs from the last axis on."""
    left, right, top, bottom = (*pad, 0, 0)[:4]
    if len(x.shape) != 4 or any(pad[4:]):
        raise c.refuse("it pads other axes than height and width")
    if not any(pad):
        return x
    return c.add("pad", x, padding=(top, left, bottom, right), value=float(value))


@rule("aten.pad.default")
def pad(c: Context, x: Value, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Value:
    if mode != "constant":
        return pad_by_copies(c, x, pad, mode)
    return constant_pad(c, x, pad, value or 0.0)
