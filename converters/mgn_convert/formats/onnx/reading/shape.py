"""Values seen in other shapes, copied, and asked for their shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mgn_convert.formats.onnx.reading.registry import reads
from mgn_convert.formats.onnx.reading.spec import NodeReader, number
from mgn_convert.graph import Array, Shape, Value


@reads("Identity")
def identity(c: NodeReader) -> Value:
    return c.x


@reads("Dropout")
def dropout(c: NodeReader) -> tuple[Value, None]:
    if number(c.array(2)):
        raise c.refuse("it drops numbers, as in training", "the model exported in eval mode")
    return c.x, None


@reads("Shape")
def shape(c: NodeReader) -> Array:
    sizes = c.x.shape[c.attributes.get("start") : c.attributes.get("end")]
    return np.array(sizes, np.int64)


@reads("Size")
def size(c: NodeReader) -> Array:
    return np.array(math.prod(c.x.shape), np.int64)


@reads("Reshape")
def reshape(c: NodeReader) -> Value:
    x, target = c.x, [int(n) for n in c.weight(1).reshape(-1)]
    if not int(c.attributes.get("allowzero", 0)):
        if any(n == 0 and i >= len(x.shape) for i, n in enumerate(target)):
            raise c.refuse("a 0 of its shape copies an axis that its operand lacks")
        target = [n or x.shape[i] for i, n in enumerate(target)]
    if target.count(-1) > 1 or any(n < -1 or n == 0 for n in target):
        raise c.refuse(f"its shape {target} has no meaning")
    return c.reshaped(x, _opened(c, x, target))


def _opened(c: NodeReader, x: Value, target: Sequence[int]) -> Shape:
    """The target with the images in it. A shape of numbers alone has as many as the file was made for.

    They are alone along an axis if they can be, else where as many numbers lie before them as in x; hardly
    along the last axis, which holds the numbers of one place.
    """
    known = math.prod(n for n in target if n != -1)
    total = math.prod(x.shape)
    open_already = any(n % c.batch == 0 for n in target)
    if open_already or c.reading.fixed is None:
        return tuple(total // known if n == -1 else n for n in target)
    fixed = c.reading.fixed
    total = total // c.batch * fixed
    sizes = [total // known if n == -1 else n for n in target]
    images = c.images(x)
    assert images is not None
    merged = x.shape[images] // c.batch
    before, after = math.prod(x.shape[:images]), math.prod(x.shape[images + 1 :])
    passed = [math.prod(sizes[:axis]) for axis in range(len(sizes))]
    fitting = [
        axis
        for axis, n in enumerate(sizes)
        if n % fixed == 0
        and merged * before % passed[axis] == 0
        and merged * after % math.prod(sizes[axis + 1 :]) == 0
    ]
    if not fitting or math.prod(sizes) != total:
        raise c.mixes()
    fitting = [axis for axis in fitting if axis < len(sizes) - 1] or fitting
    alone = [axis for axis in fitting if sizes[axis] == fixed and (merged > 1 or passed[axis] == before)]
    exact = [axis for axis in fitting if passed[axis] == before]
    axis = (alone or exact or fitting)[0]
    return (*sizes[:axis], sizes[axis] // fixed * c.batch, *sizes[axis + 1 :])


@reads("Flatten")
def flatten(c: NodeReader) -> Value:
    """To two axes, cut at `axis`."""
    x = c.x
    axis = int(c.attributes.get("axis", 1))
    axis += len(x.shape) if axis < 0 else 0
    return c.reshaped(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@reads("Squeeze")
def squeeze(c: NodeReader) -> Value:
    x, rank = c.x, len(c.x.shape)
    axes = c.integers("axes", 1)
    if axes is None:
        axes = tuple(i for i, n in enumerate(x.shape) if n == 1)
        if c.reading.fixed == 1:
            raise c.refuse("it drops every axis of size one, that of the images too", "axes")
    axes = tuple(c.axis(axis, x) for axis in axes)
    if any(x.shape[axis] != 1 for axis in axes):
        raise c.refuse(f"it drops the axes {list(axes)}, and not all have the size one")
    return c.reshaped(x, tuple(x.shape[i] for i in range(rank) if i not in axes))


@reads("Unsqueeze")
def unsqueeze(c: NodeReader) -> Value:
    """New axes of size one, where `axes` says in the result."""
    return c.reshaped(c.x, unsqueezed(c, c.x.shape))


def unsqueezed(c: NodeReader, sizes: Shape) -> Shape:
    axes = c.integers("axes", 1) or ()
    rank = len(sizes) + len(axes)
    places = {axis % rank for axis in axes if -rank <= axis < rank}
    if len(places) < len(axes):
        raise c.refuse(f"it makes the axes {list(axes)} in a result of {rank} axes")
    left = iter(sizes)
    return tuple(1 if i in places else next(left) for i in range(rank))


@reads("Transpose")
def transpose(c: NodeReader) -> Value:
    rank = len(c.x.shape)
    order = c.integers("perm") or tuple(reversed(range(rank)))
    return c.add("permute", c.x, order=tuple(order))


@reads("DepthToSpace")
def depth_to_space(c: NodeReader) -> Value:
    """Channels (b, b, C) or, as CRD, (C, b, b) become places."""
    x, b = c.planes(c.x), int(c.attributes.get("blocksize", 1))
    n, channels, height, width = x.shape
    depth = channels // (b * b)
    by_column = c.attributes.get("mode", "DCR") == "CRD"
    split = (n, depth, b, b, height, width) if by_column else (n, b, b, depth, height, width)
    order = (0, 1, 4, 2, 5, 3) if by_column else (0, 3, 4, 1, 5, 2)
    turned = c.step("permute", c.reshaped(x, split, suffix="split"), order=order)
    return c.reshaped(turned, (n, depth, height * b, width * b))


@reads("SpaceToDepth")
def space_to_depth(c: NodeReader) -> Value:
    """Places become channels (b, b, C)."""
    x, b = c.planes(c.x), int(c.attributes.get("blocksize", 1))
    n, channels, height, width = x.shape
    split = c.reshaped(x, (n, channels, height // b, b, width // b, b), suffix="split")
    turned = c.step("permute", split, order=(0, 3, 5, 1, 2, 4))
    return c.reshaped(turned, (n, channels * b * b, height // b, width // b))
