"""Values cut, joined and reshaped, and Reduction."""

from __future__ import annotations

import itertools
from typing import Any

from mgn_convert.formats.caffe.reader import LayerReader
from mgn_convert.formats.caffe.registry import Dialect, reads, writes
from mgn_convert.formats.caffe.writer import NetWriter
from mgn_convert.graph import Graph, Node, Value

_REDUCTIONS = {1: "sum", 2: "asum", 3: "sumsq", 4: "mean"}


def _axis(layer: LayerReader, axis: int, *, end: int = 0) -> int:
    rank = len(layer.x.shape)
    if not -rank <= axis < rank + end:
        layer.refuse("axis is one of the bottom's", got=f"axis {axis} of {layer.x.shape}")
    return axis + rank if axis < 0 else axis


@reads("Concat")
def read_concat(layer: LayerReader) -> Value:
    param = layer.param("concat_param")
    if not layer.inputs:
        layer.take(1)
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    return layer.result("concat", *layer.inputs, axis=_axis(layer, axis))


@writes("concat", "Concat")
def write_concat(net: NetWriter, node: Node) -> None:
    axis = node.attrs["axis"] % len(node.shape)
    net.layer("Concat", node, concat_param={} if axis == 1 else {"axis": axis})


@reads("Slice")
def read_slice(layer: LayerReader) -> tuple[Value, ...]:
    layer.take(1)
    param, count = layer.param("slice_param"), len(layer.layer.tops)
    axis = _axis(layer, param.slice_dim if param.HasField("slice_dim") else param.axis)
    size, points = layer.x.shape[axis], list(param.slice_point)
    if not points:
        if not count or size % count:
            layer.refuse("without slice_point the tops share the axis equally", got=f"{size} over {count}")
        points = [size // count * i for i in range(1, count)]
    bounds = [0, *points, size]
    if len(bounds) != count + 1 or any(a >= b for a, b in itertools.pairwise(bounds)):
        layer.refuse("slice points rise, one fewer than tops", got=f"{points} for {count} tops of {size}")
    return tuple(
        layer.result("slice", layer.x, top=i, axis=axis, start=bounds[i], stop=bounds[i + 1])
        for i in range(count)
    )


def _slice_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    whole = graph.value(node.inputs[0]).shape == node.shape
    return "a Slice layer cuts its bottom in two parts or more" if whole else None


@writes("slice", "Slice", fits=_slice_fits)
def write_slice(net: NetWriter, node: Node) -> None:
    net.slices(node)


@reads("Flatten")
def read_flatten(layer: LayerReader) -> Value:
    layer.take(1)
    param, shape = layer.param("flatten_param"), layer.x.shape
    axis, end = _axis(layer, param.axis), _axis(layer, param.end_axis)
    if end < axis:
        layer.refuse("end_axis comes after axis", got=f"{axis} to {end}")
    return layer.result("reshape", layer.x, shape=(*(0,) * axis, -1, *shape[end + 1 :]))


@reads("Reshape")
def read_reshape(layer: LayerReader) -> Value:
    """`axis` and `num_axes` name the axes that `shape` replaces; 0 copies the axis of the same place."""
    layer.take(1)
    param, shape = layer.param("reshape_param"), layer.x.shape
    rank, dims = len(shape), [int(n) for n in param.shape.dim]
    start = param.axis + rank + 1 if param.axis < 0 else param.axis
    stop = rank if param.num_axes == -1 else start + param.num_axes
    if not 0 <= start <= stop <= rank or any(n < -1 for n in dims):
        layer.refuse("axis and num_axes stay within the bottom", got=f"{param} of {shape}".replace("\n", " "))
    if start == 0 and stop > 0 and dims and dims[0] == shape[0]:
        dims[0] = 0  # the batch that the prototxt happens to have
    return layer.result("reshape", layer.x, shape=(*(0,) * start, *dims, *shape[stop:]))


@writes("reshape", "Reshape")
def write_reshape(net: NetWriter, node: Node) -> None:
    net.layer("Reshape", node, reshape_param={"shape": {"dim": [int(n) for n in node.attrs["shape"]]}})


@reads("Tile")
def read_tile(layer: LayerReader) -> Value:
    layer.take(1)
    param = layer.param("tile_param")
    if not 0 < param.tiles <= 4096:
        layer.refuse("tiles is a positive number, at most 4096 here", got=str(param.tiles))
    return layer.result("concat", *[layer.x] * param.tiles, axis=_axis(layer, param.axis))


@reads("Crop")
def read_crop(layer: LayerReader) -> Value:
    """Cuts the first bottom to the size of the second, from `axis` on, at the offsets."""
    layer.take(2)
    param, (x, other) = layer.param("crop_param"), layer.inputs
    axis = _axis(layer, param.axis)
    axes = list(range(axis, len(x.shape)))
    offsets = list(param.offset) or [0]
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets
    if len(offsets) != len(axes) or len(other.shape) != len(x.shape):
        layer.refuse("it has one offset, or one for each axis it cuts", got=f"{offsets} for axes {axes}")
    cuts = [(i, at) for i, at in zip(axes, offsets, strict=True) if x.shape[i] != other.shape[i]]
    if any(at + other.shape[i] > x.shape[i] for i, at in zip(axes, offsets, strict=True)):
        layer.refuse("the cut stays within the first bottom", got=f"{x.shape} to {other.shape} at {offsets}")
    for i, at in cuts[:-1]:
        x = layer.step("slice", x, suffix=f"cut{i}", axis=i, start=at, stop=at + other.shape[i])
    if not cuts:
        return layer.result("power", x)
    i, at = cuts[-1]
    return layer.result("slice", x, axis=i, start=at, stop=at + other.shape[i])


@reads("Reduction")
def read_reduction(layer: LayerReader) -> Value:
    """Reduces every axis from `axis` on."""
    layer.take(1)
    param, x = layer.param("reduction_param"), layer.x
    axes = tuple(range(_axis(layer, param.axis), len(x.shape)))
    kind = _REDUCTIONS[param.operation]
    if param.coeff == 1:
        return layer.result("reduce", x, kind=kind, axes=axes)
    total = layer.step("reduce", x, suffix="reduced", kind=kind, axes=axes)
    return layer.result("power", total, scale=param.coeff)


def _reduce_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    rank = len(graph.value(node.inputs[0]).shape)
    axes = sorted(axis % rank for axis in node.attrs["axes"])
    if node.attrs["keepdims"] or axes != [*range(axes[0], rank)] or node.attrs["kind"] == "max":
        return "Reduction adds up every axis from one on, and drops them"
    return None


@writes("reduce", "Reduction", fits=_reduce_fits)
def write_reduce(net: NetWriter, node: Node) -> None:
    rank = len(net.graph.value(node.inputs[0]).shape)
    kinds = {name: number for number, name in _REDUCTIONS.items()}
    param: dict[str, Any] = {"operation": kinds[node.attrs["kind"]]}
    if axis := min(axis % rank for axis in node.attrs["axes"]):
        param["axis"] = axis
    net.layer("Reduction", node, reduction_param=param)


@reads("Permute")
def read_permute(layer: LayerReader) -> Value:
    layer.take(1)
    order = [int(i) for i in layer.param("permute_param").order]
    order += [i for i in range(len(layer.x.shape)) if i not in order]
    return layer.result("permute", layer.x, order=tuple(order))


@writes("permute", "Permute")
def write_permute(net: NetWriter, node: Node) -> None:
    net.layer("Permute", node, permute_param={"order": [int(i) for i in node.attrs["order"]]})
