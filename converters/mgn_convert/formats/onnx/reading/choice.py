"""What an image chooses: channels by their scores, and places of maxima."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mgn_convert.formats.onnx.reading.pooling import Places
from mgn_convert.formats.onnx.reading.registry import Operand, Pending, reads
from mgn_convert.formats.onnx.reading.shape import unsqueezed
from mgn_convert.formats.onnx.reading.spec import NodeReader, number
from mgn_convert.graph import Array, Shape, Value


@dataclass(frozen=True)
class Ranking(Pending):
    """The channels (N, k, ...) with the k highest `scores` (N, C), the same along all axes from 2 on."""

    scores: Value
    k: int
    shape: Shape


@reads("TopK")
def top_k(c: NodeReader) -> tuple[Value, Ranking | None]:
    x, k = c.x, number(c.weight(1))
    if len(x.shape) != 2 or c.axis(int(c.attributes.get("axis", -1)), x) != 1 or k is None:
        raise c.refuse("it chooses along another axis than the channels of (N, C)")
    if not int(c.attributes.get("sorted", 1)):
        raise c.refuse("the order of what it chooses is not fixed", "sorted 1")
    largest = int(c.attributes.get("largest", 1))
    scores = x if largest else c.step("power", x, scale=-1.0, suffix="negated")
    count = int(k)
    return c.add("top_channels", x, scores, k=count), Ranking("TopK", scores, count, (c.batch, count))


@reads("Identity", "Cast", given=Ranking)
def copy(c: NodeReader) -> Operand:
    return c.given(0)


@reads("Shape", given=Ranking)
def shape(c: NodeReader) -> Array:
    return np.array(_ranking(c, 0).shape[c.attributes.get("start") : c.attributes.get("end")], np.int64)


@reads("Unsqueeze", given=Ranking)
def unsqueeze(c: NodeReader) -> Ranking:
    indices = _ranking(c, 0)
    return _spread(c, indices, unsqueezed(c, indices.shape))


@reads("Reshape", given=Ranking)
def reshape(c: NodeReader) -> Ranking:
    indices, target = _ranking(c, 0), [int(n) for n in c.weight(1).reshape(-1)]
    count = int(np.prod(indices.shape))
    sizes = [n or indices.shape[i] for i, n in enumerate(target)]
    if sizes[:1] == [c.reading.fixed]:
        sizes[0] = c.batch
    known = int(np.prod([n for n in sizes if n != -1]))
    return _spread(c, indices, tuple(count // known if n == -1 else n for n in sizes))


@reads("Expand", given=Ranking)
def expand(c: NodeReader) -> Ranking:
    indices, target = _ranking(c, 0), [int(n) for n in c.weight(1).reshape(-1)]
    if target[:1] == [c.reading.fixed]:
        target[0] = c.batch
    return _spread(c, indices, np.broadcast_shapes(indices.shape, tuple(target)))


def _spread(c: NodeReader, indices: Ranking, sizes: Shape) -> Ranking:
    """(N, k) to (N, k, 1, 1) to (N, k, H, W): which channel stays the same along the new axes."""
    if sizes[:2] != (c.batch, indices.k):
        raise c.refuse("it mixes the indices of a TopK", "indices of shape (N, k, 1, 1) or (N, k, H, W)")
    return replace(indices, shape=sizes)


@reads("GatherElements", given=Ranking)
def gather_elements(c: NodeReader) -> Value:
    """Whole channels by the ranking of their scores."""
    x, indices = c.x, _ranking(c, 1)
    if c.axis(int(c.attributes.get("axis", 0)), x) != 1 or indices.shape[2:] != x.shape[2:]:
        raise c.refuse("it picks other things than whole channels")
    return _chosen(c, x, indices)


@reads("GatherND", given=Ranking)
def gather_nd(c: NodeReader) -> Value:
    """Whole channels of each image, by indices (N, k, 1)."""
    x, indices = c.x, _ranking(c, 1)
    if int(c.attributes.get("batch_dims", 0)) != 1 or indices.shape[2:] != (1,):
        raise c.refuse("it picks other things than whole channels of each image")
    return _chosen(c, x, indices)


def _chosen(c: NodeReader, x: Value, indices: Ranking) -> Value:
    if indices.scores.shape != x.shape[:2]:
        chosen = indices.scores.shape[1]
        raise c.refuse(f"the TopK chose among {chosen} channels, and it has {x.shape[1]}")
    return c.add("top_channels", x, indices.scores, k=indices.k)


def _ranking(c: NodeReader, index: int) -> Ranking:
    found = c.given(index)
    if isinstance(found, Ranking):
        return found
    raise c.refuse("its indices are not those of a TopK over channels")


@reads("MaxUnpool", given=Places)
def max_unpool(c: NodeReader) -> Value:
    """The window of each value is known from the pooling, so its input stands for the indices."""
    x, places, size = c.x, c.given(1), c.array(2)
    if not isinstance(places, Places):
        raise c.refuse("its indices are not those of a MaxPool")
    if any(places.sides) or any(c.sizes("pads", (0, 0, 0, 0))):
        raise c.refuse("the pooling that chose its indices has padding or rounds up", "pooling without them")
    if any(s < k for s, k in zip(places.stride, places.kernel, strict=True)):
        raise c.refuse("the windows of the pooling that chose its indices overlap", "stride=kernel_size")
    own = (c.sizes("kernel_shape", (0, 0)), c.sizes("strides", (1, 1)))
    if size is None and own != (places.kernel, places.stride):
        raise c.refuse("its windows are not those of the pooling that chose its indices")
    result = _unpooled(x.shape, *own) if size is None else tuple(int(n) for n in size.reshape(-1))
    if result[2:] != places.source.shape[2:]:
        pooled = c.text(places.source.shape)
        raise c.refuse(f"its result differs in size from what was pooled, {pooled}", "output_shape")
    return c.add("max_unpool", x, places.source, kernel=places.kernel, stride=places.stride)


def _unpooled(shape: Shape, kernel: Any, stride: Any) -> Shape:
    """The size that a pooling without rest has made `shape` of."""
    return (*shape[:2], *((shape[2 + i] - 1) * stride[i] + kernel[i] for i in (0, 1)))
