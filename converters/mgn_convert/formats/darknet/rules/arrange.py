"""[reshape] and [permute]; [reorg] and [crop], which are read only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import RESHAPED, fits, is_free, layer_shape, moved
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.reduce import read_axes
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value


@reads("reshape")
def read_reshape(r: Reading, s: Section) -> Value:
    """One of c, h and w may be -1, for what is left."""
    x = r.previous
    sizes = [s.integer(key, 1, least=-1) for key in "chw"]
    if 0 in sizes or sizes.count(-1) > 1:
        raise s.error("c, h and w are at least 1, one of them may be -1", remedy="correct the numbers")
    count, known = math.prod(x.shape[1:]), abs(math.prod(sizes))
    if count % known or (-1 not in sizes and count != known):
        raise s.error(
            "c, h and w hold what the layer before gives",
            because=f"that is {count} values",
            remedy="correct the numbers",
        )
    sizes = [count // known if n == -1 else n for n in sizes]
    return r.result("reshape", x, shape=(0, *sizes))


@reads("permute")
def read_permute(r: Reading, s: Section) -> Value:
    """order=w,c,h makes the width the channels."""
    x, order = r.map(), read_axes(s, "order")
    if len(order) != 3:
        raise s.error("order names c, h and w", key="order", remedy="correct the letters")
    return r.result("permute", x, order=(0, *order))


@reads("reorg")
def read_reorg(r: Reading, s: Section) -> Value:
    """Upstream's own order. reverse=0 takes the input's numbers as C / stride^2 maps that are stride times
    as high and wide, and gives the cells of each stride x stride block to maps of their own.
    """
    x = r.image()
    stride, reverse = s.integer("stride", 1, least=1), s.switch("reverse")
    s.refuse(("flatten", "extra"), "no rule reads this order")
    c, h, w = x.shape[1:]
    few = c // stride**2
    if c % stride**2 or (not reverse and (h % stride or w % stride)):
        raise s.error(
            "stride^2 divides the channels, and stride the map unless reverse=1",
            key="stride",
            because=f"the map is {c}x{h}x{w}",
        )
    if reverse:
        seen, order = (0, stride, stride, few, h, w), (0, 3, 4, 1, 5, 2)
        shape = (0, few, h * stride, w * stride)
    else:
        seen, order = (0, few, h, stride, w, stride), (0, 3, 5, 1, 2, 4)
        shape = (0, c * stride**2, h // stride, w // stride)
    return r.chain(
        x, ("reshape", {"shape": seen}), ("permute", {"order": order}), ("reshape", {"shape": shape})
    )


@reads("crop")
def read_crop(r: Reading, s: Section) -> Value:
    """From the middle; without noadjust also 2 x - 1."""
    x = r.image()
    s.skip(("flip", "angle", "saturation", "exposure", "shift"))
    steps: list[tuple[str, Mapping[str, Any]]] = []
    for axis, key in ((2, "crop_height"), (3, "crop_width")):
        size, extent = s.integer(key, 1, least=1), x.shape[axis]
        if size > extent:
            raise s.error("a crop is no larger than the map", key=key, because=f"the map has {extent} cells")
        start = (extent - size) // 2
        if size < extent:
            steps.append(("slice", {"axis": axis, "start": start, "stop": start + size}))
    if not s.switch("noadjust"):
        steps.append(("power", {"scale": 2.0, "shift": -1.0}))
    return r.chain(x, *steps) if steps else x


def _lacks_reshape(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if is_free(graph, node):
        is_seen = dialect["own_layers"] or node.name not in graph.outputs
        if is_seen or fits(layer_shape(graph, node.name), node.shape):
            return None
        return RESHAPED
    return "Darknet keeps the batch axis as it is"


@writes("reshape", lacks=_lacks_reshape, sections=("reshape",))
def write_nothing(w: Writing, unit: Unit) -> None:
    """No section of its own: the numbers stay where they are. What reads them puts a [reshape] in front."""
    w.alias(unit.head)


def _lacks_permute(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    sizes, _ = moved(graph.value(node.inputs[0]).shape, node.attrs["order"])
    if node.attrs["order"][0] != 0:
        return "Darknet keeps the batch axis first"
    if not dialect["own_layers"]:
        return "Darknet has no such layer"
    if not sizes:
        return "it moves no number, so that it is a reshape"
    return None if len(sizes) < 4 else f"a [permute] moves up to three axes, this one {len(sizes)}"


@writes("permute", lacks=_lacks_permute, sections=("permute",))
def write_permute(w: Writing, unit: Unit) -> None:
    """[permute] of the axes that move, neighbours that stay together being one."""
    node = unit.head
    sizes, order = moved(w.graph.value(node.inputs[0]).shape, node.attrs["order"])
    extra = 3 - len(sizes)
    view = (1,) * extra + sizes
    places = (*range(extra), *(place + extra for place in order))
    w.use(node.inputs[0], view)
    options = {"order": ",".join("chw"[place] for place in places)}
    w.section("permute", unit, options, shape=tuple(view[place] for place in places))
