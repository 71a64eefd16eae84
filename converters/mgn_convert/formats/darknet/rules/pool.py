"""[maxpool] and [avgpool].

A [maxpool] with size and stride has one window for both directions, and `padding` is the total of both sides;
the window starts padding / 2 before the map. With size_h, size_w, stride_h and stride_w, `padding` counts per
side; padding_h and padding_w give a direction, padding_top, _left, _bottom and _right a side of its own. An
[avgpool] without keys takes the whole map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import RESHAPED, is_image
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.conv import read_strides
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value

_DIRECTIONS = ("size_h", "size_w", "stride_h", "stride_w")
_SIDES = ("padding_top", "padding_left", "padding_bottom", "padding_right")


@reads("maxpool")
def read_maxpool(r: Reading, s: Section) -> Value:
    """Cells outside the map never win."""
    x = r.image()
    stock = not _is_rectangular(s)
    kernel, stride, start, end = _read_stock(s) if stock else _read_rectangular(s)
    attrs = _window_attrs(s, x, kernel, stride, start, end, stock=stock)
    value = r.result("max_pool", x, **attrs)
    r.pools[r.index] = x, attrs
    return value


@reads("avgpool")
def read_avgpool(r: Reading, s: Section) -> Value:
    """The mean of each map without keys, else of windows."""
    x = r.image()
    keys = (*_DIRECTIONS, *_SIDES, "size", "stride", "padding", "padding_h", "padding_w", "overhang_h")
    if not any(key in s.options for key in (*keys, "overhang_w", "count_include_pad", "divisor")):
        return r.result("reduce", x, kind="mean", axes=(2, 3), keepdims=True)
    if _is_rectangular(s):
        kernel, stride, start, end = _read_rectangular(s)
    else:
        size, step = s.integer("size", None, least=1), s.integer("stride", 1, least=1)
        side = s.integer("padding", 0)
        kernel, stride, start, end = (size, size), (step, step), (side, side), (side, side)
    over = s.integer("overhang_h", 0), s.integer("overhang_w", 0)
    counted = not s.has("count_include_pad") or s.switch("count_include_pad")
    divisor = s.integer("divisor", None, least=1) if s.has("divisor") else None
    padding = (*start, *end)
    if divisor is None and not any((*padding, *over)) and tuple(kernel) == x.shape[2:]:
        return r.result("reduce", x, kind="mean", axes=(2, 3), keepdims=True)
    _counts(s, x, kernel, stride, start, [end[i] + over[i] for i in (0, 1)])
    attrs = {"kernel": kernel, "stride": stride, "padding": padding, "overhang": over}
    return r.result("avg_pool", x, **attrs, count_include_pad=counted, divisor=divisor)


def _is_rectangular(s: Section) -> bool:
    return "size_h" in s.options or "size_w" in s.options


def _counts(
    s: Section,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    start: Sequence[int],
    end: Sequence[int],
) -> list[int]:
    """Windows down and across. Raises FileFormatError unless each holds a cell of the map."""
    counts = [(x.shape[2 + i] + start[i] + end[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    for i in (0, 1):
        inside = start[i] < kernel[i] and (counts[i] - 1) * stride[i] - start[i] < x.shape[2 + i]
        if counts[i] < 1 or not inside:
            raise s.error(
                "every window fits the map and holds a cell of it",
                because=f"it is {kernel[i]} on {x.shape[2 + i]} cells and {start[i]} + {end[i]} of padding",
            )
    return counts


def _window_attrs(
    s: Section,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    start: Sequence[int],
    end: Sequence[int],
    *,
    stock: bool,
) -> dict[str, Any]:
    """The attributes of a max_pool, with no more padding at the end than a window needs."""
    end = list(end)
    for i in (0, 1):
        missing = kernel[i] - (x.shape[2 + i] + start[i] + end[i])
        # Upstream's division rounds toward zero: a window a little larger than the map still gives one cell.
        if stock and 0 < missing < stride[i]:
            end[i] += missing
    counts = _counts(s, x, kernel, stride, start, end)
    reach = [(counts[i] - 1) * stride[i] + kernel[i] - x.shape[2 + i] - start[i] for i in (0, 1)]
    padding = (*start, *(max(0, n) for n in reach))
    return {"kernel": tuple(kernel), "stride": tuple(stride), "padding": padding}


def _read_stock(s: Section) -> tuple[tuple[int, int], ...]:
    """Kernel, stride, padding before and padding after, each down and across."""
    stride = s.integer("stride", 1, least=1)
    size = s.integer("size", stride, least=1)
    total = s.integer("padding", size - 1)
    start, end = total // 2, total - total // 2
    both = s.integer("stride_y", stride, least=1), s.integer("stride_x", stride, least=1)
    return (size, size), both, (start, start), (end, end)


def _read_rectangular(s: Section) -> tuple[tuple[int, int], ...]:
    for key in ("size", "stride"):
        if s.has(key):
            raise s.error("size and stride exclude size_h and size_w", key=key, remedy=f"remove {key}")
    kernel = s.integer("size_h", None, least=1), s.integer("size_w", None, least=1)
    both = s.integer("padding", 0)
    sides = s.integer("padding_h", both), s.integer("padding_w", both)
    start = s.integer("padding_top", sides[0]), s.integer("padding_left", sides[1])
    end = s.integer("padding_bottom", sides[0]), s.integer("padding_right", sides[1])
    return kernel, read_strides(s), start, end


def spans(extent: int, size: int, stride: int, start: int, count: int) -> list[tuple[int, int]]:
    """The cells, first to end, that each of `count` windows sees of `extent`; the first is at -start."""
    first = [i * stride - start for i in range(count)]
    return [(max(0, f), min(extent, f + size)) for f in first]


def rectangular_options(attrs: Mapping[str, Any]) -> dict[str, int]:
    """The window of any pool node, where the dialect has rectangular ones."""
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


def lacks_max_pool(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    """Why a max_pool, or a reduce by max over the whole map, cannot be written, or None."""
    if not dialect["own_layers"] and not is_image(graph, node.inputs[0]):
        return RESHAPED
    if _options(graph, node, dialect) is None:
        return "upstream's [maxpool] has one size, one stride and one padding for both directions"
    return None


def _lacks_avg_pool(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    extent, attrs = graph.value(node.inputs[0]).shape[2:], node.attrs
    if dialect["own_layers"]:
        fits = attrs["divisor"] is None or (attrs["divisor"] >= 1 and attrs["divisor"] % 1 == 0)
        return None if fits else "[avgpool] divides by a whole number"
    if not is_image(graph, node.inputs[0]):
        return RESHAPED
    area = extent[0] * extent[1]
    if tuple(attrs["kernel"]) != tuple(extent) or any((*attrs["padding"], *attrs["overhang"])):
        return "[avgpool] takes the whole map"
    return None if (attrs["divisor"] or area) == area else "[avgpool] divides by the size of the map"


@writes("max_pool", lacks=lacks_max_pool, sections=("maxpool",))
def write_max_pool(w: Writing, unit: Unit) -> None:
    """[maxpool], in the words that the dialect has."""
    node = unit.head
    w.use(node.inputs[0], w.graph.value(node.inputs[0]).shape[1:])
    options = _options(w.graph, node, w.dialect)
    assert options is not None
    out = node.shape[1:] if node.op == "max_pool" else (*w.shape(node.inputs[0])[:1], 1, 1)
    w.section("maxpool", unit, options, shape=out)


@writes("avg_pool", lacks=_lacks_avg_pool, sections=("avgpool",))
def write_avg_pool(w: Writing, unit: Unit) -> None:
    """[avgpool], without keys for the whole map."""
    node = unit.head
    image = w.graph.value(node.inputs[0]).shape[1:]
    w.use(node.inputs[0], image)
    if node.op == "reduce" or not w.own:
        # With a window our engine sums in double precision; upstream's is over the whole map alone.
        whole = {"kernel": image[1:], "stride": (1, 1), "padding": (0, 0, 0, 0)}
        options = rectangular_options(whole) if w.own else {}
        w.section("avgpool", unit, options, shape=(image[0], 1, 1))
        return
    options, attrs = rectangular_options(node.attrs), node.attrs
    for key, extra in zip(("overhang_h", "overhang_w"), attrs["overhang"], strict=True):
        options |= {key: extra} if extra else {}
    if not attrs["count_include_pad"]:
        options["count_include_pad"] = 0
    if attrs["divisor"]:
        options["divisor"] = int(attrs["divisor"])
    w.section("avgpool", unit, options, shape=node.shape[1:])
