"""[maxpool], [avgpool] and [upsample].

A [maxpool] with size and stride has one window for both directions, and `padding` is the total of both sides;
the window starts padding / 2 before the map. With size_h, size_w, stride_h and stride_w, `padding` counts per
side; padding_h, padding_w, padding_bottom and padding_right give a side or direction of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import is_image
from mgn_convert.formats.darknet.reader import Reading, check_size
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.weights import FLOAT
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value

_DIRECTIONS = ("size_h", "size_w", "stride_h", "stride_w")


@reads("maxpool")
def read_maxpool(r: Reading, s: Section) -> Value:
    """Cells outside the map never win."""
    x = r.image()
    kernel, stride, start, end = _read_rectangular(s) if "size_h" in s.options else _read_square(s)
    ends = []
    for i in (0, 1):
        extent = x.shape[2 + i]
        # C rounds toward zero, so that a window a little larger than the map still gives one cell.
        count = math.trunc((extent + start[i] + end[i] - kernel[i]) / stride[i]) + 1
        if count < 1:
            raise s.error(
                "the window fits the map",
                because=f"it is {kernel[i]} on {extent} cells and {start[i]} + {end[i]} of padding",
            )
        ends.append(max(0, (count - 1) * stride[i] + kernel[i] - extent - start[i]))
    return r.result("max_pool", x, kernel=kernel, stride=stride, padding=(*start, *ends))


def _read_square(s: Section) -> tuple[tuple[int, int], ...]:
    """Kernel, stride, padding before and padding after, each down and across."""
    stride = s.integer("stride", 1, least=1)
    size = s.integer("size", stride, least=1)
    total = s.integer("padding", size - 1)
    start, end = total // 2, total - total // 2
    both = s.integer("stride_y", stride, least=1), s.integer("stride_x", stride, least=1)
    return (size, size), both, (start, start), (end, end)


def _read_rectangular(s: Section) -> tuple[tuple[int, int], ...]:
    kernel = s.integer("size_h", None, least=1), s.integer("size_w", None, least=1)
    stride = s.integer("stride_h", 1, least=1), s.integer("stride_w", 1, least=1)
    both = s.integer("padding", 0)
    start = s.integer("padding_h", both), s.integer("padding_w", both)
    end = s.integer("padding_bottom", start[0]), s.integer("padding_right", start[1])
    return kernel, stride, start, end


@reads("avgpool")
def read_avgpool(r: Reading, s: Section) -> Value:
    """The mean of each map; sizes may be given, but only those of the whole map."""
    x = r.image()
    for key, extent in (
        ("size", x.shape[2]),
        ("size_h", x.shape[2]),
        ("size", x.shape[3]),
        ("size_w", x.shape[3]),
    ):
        if s.integer(key, extent) != extent:
            raise s.error("[avgpool] takes the whole map", key=key, because=f"the map has {extent} cells")
    s.refuse(("padding",), "[avgpool] takes the whole map")
    s.skip(("stride", "stride_h", "stride_w"))
    return r.result("reduce", x, kind="mean", axes=(2, 3), keepdims=True)


@reads("upsample")
def read_upsample(r: Reading, s: Section) -> Value:
    """Every cell repeated `stride` times down and across, times `scale`."""
    x = r.image()
    stride, scale = s.integer("stride", 2, least=1), s.number("scale", 1)
    check_size(s, (1, x.shape[1], x.shape[2] * stride, x.shape[3] * stride))
    ones = np.broadcast_to(np.ones((), FLOAT), (x.shape[1], 1, stride, stride))
    fields = {"weight": ones, "stride": (stride, stride), "groups": x.shape[1]}
    return r.chain(
        x,
        ("conv_transpose", fields),
        ("scale", {"weight": np.asarray(scale, FLOAT)}) if scale != 1 else None,
    )


def spans(extent: int, size: int, stride: int, start: int, count: int) -> list[tuple[int, int]]:
    """The cells, first to end, that each of `count` windows sees of `extent`; the first is at -start."""
    first = [i * stride - start for i in range(count)]
    return [(max(0, f), min(extent, f + size)) for f in first]


def rectangular_options(attrs: Mapping[str, Any]) -> dict[str, int]:
    """The options of a [maxpool] for any max_pool node, where the dialect has rectangular ones."""
    top, left, bottom, right = attrs["padding"]
    options = dict(zip(_DIRECTIONS, (*attrs["kernel"], *attrs["stride"]), strict=True))
    if top == left == bottom == right:
        return {**options, "padding": top}
    return {**options, "padding_h": top, "padding_w": left, "padding_bottom": bottom, "padding_right": right}


def square_options(
    extent: Sequence[int], out: Sequence[int], attrs: Mapping[str, Any]
) -> dict[str, int] | None:
    """The options of an upstream [maxpool] that sees the same cells in every window, or None.

    extent, out: height and width before and after. attrs: those of a max_pool node. A window that spans the
    whole width may be larger than the map, for upstream's division of a negative number rounds up to 0.
    """
    kernel, stride, padding = attrs["kernel"], attrs["stride"], attrs["padding"]
    wanted = [spans(extent[i], kernel[i], stride[i], padding[i], out[i]) for i in (0, 1)]
    for size, step, total in _square_windows(kernel, stride):
        counts = [math.trunc((n + total - size) / step) + 1 for n in extent]
        if wanted == [spans(extent[i], size, step, total // 2, counts[i]) for i in (0, 1)]:
            return {"size": size, "stride": step, "padding": total}
    return None


def _square_windows(kernel: Sequence[int], stride: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    for size in dict.fromkeys(kernel):
        for step in dict.fromkeys(stride):
            for total in range(2 * size):
                yield size, step, total


def _window(graph: Graph, node: Node) -> dict[str, Any]:
    """The attributes of the max_pool that a node is."""
    if node.op == "max_pool":
        return dict(node.attrs)
    size = graph.value(node.inputs[0]).shape[2:]
    return {"kernel": size, "stride": size, "padding": (0, 0, 0, 0)}


def _options(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> dict[str, int] | None:
    if dialect["rectangular_pools"]:
        return rectangular_options(_window(graph, node))
    out = node.shape[2:] if node.op == "max_pool" else (1, 1)
    return square_options(graph.value(node.inputs[0]).shape[2:], out, _window(graph, node))


def _lacks_max_pool(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if not is_image(graph, node.inputs[0]):
        return "the layer that holds its input has another shape, and Darknet has no layer that reshapes"
    if _options(graph, node, dialect) is None:
        return "upstream's [maxpool] has one size, one stride and one padding for both directions"
    return None


def _lacks_reduce(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    shape = graph.value(node.inputs[0]).shape
    axes = {axis % len(shape) for axis in node.attrs["axes"]}
    if len(shape) != 4 or axes != {2, 3} or node.attrs["kind"] not in ("mean", "max"):
        return "Darknet reduces by mean and by max, over height and width together"
    if not is_image(graph, node.inputs[0]):
        return "the layer that holds its input has another shape, and Darknet has no layer that reshapes"
    return _lacks_max_pool(graph, node, dialect) if node.attrs["kind"] == "max" else None


def _lacks_avg_pool(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if not is_image(graph, node.inputs[0]):
        return "the layer that holds its input has another shape, and Darknet has no layer that reshapes"
    extent, attrs = graph.value(node.inputs[0]).shape[2:], node.attrs
    area = extent[0] * extent[1]
    if tuple(attrs["kernel"]) != tuple(extent) or any((*attrs["padding"], *attrs["overhang"])):
        return "[avgpool] takes the whole map"
    return None if (attrs["divisor"] or area) == area else "[avgpool] divides by the size of the map"


@writes("max_pool", lacks=_lacks_max_pool)
def write_max_pool(w: Writing, unit: Unit) -> None:
    """[maxpool], in the words that the dialect has."""
    w.use(unit.head.inputs[0])
    options = _options(w.graph, unit.head, w.dialect)
    assert options is not None
    w.section("maxpool", unit, options)


@writes("reduce", lacks=_lacks_reduce)
def write_reduce(w: Writing, unit: Unit) -> None:
    """[avgpool] for the mean; a [maxpool] over the whole map for the max."""
    if unit.head.attrs["kind"] == "max":
        write_max_pool(w, unit)
    else:
        write_avg_pool(w, unit)


@writes("avg_pool", lacks=_lacks_avg_pool)
def write_avg_pool(w: Writing, unit: Unit) -> None:
    """[avgpool], which has no options."""
    w.use(unit.head.inputs[0])
    w.section("avgpool", unit, {})
