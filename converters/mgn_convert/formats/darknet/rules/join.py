"""[route] and [concat] join layers, [shortcut] adds two of one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import arranged, joined, layer_shape
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.activation import activation_steps
from mgn_convert.formats.darknet.rules.pair import lacks_pair, same_shapes, write_pair
from mgn_convert.formats.darknet.rules.reduce import read_axes
from mgn_convert.formats.darknet.weights import FLOAT
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value


@reads("route")
def read_route(r: Reading, s: Section) -> Value:
    """Layers one after the other: along channels where heights and widths agree, else as vectors."""
    values = [r.layer(number) for number in s.integers("layers")]
    if len(values) == 1:
        return values[0]
    ranks = {len(v.shape) for v in values}
    if all(map(r.is_image, values)):
        if ranks != {2}:
            values = [r.image(v) for v in values]
        if len({v.shape[2:] for v in values}) == 1:
            return r.result("concat", *values, axis=1)
    return r.mark_vector(r.result("concat", *(r.vector(v) for v in values), axis=1))


@reads("concat")
def read_concat(r: Reading, s: Section) -> Value:
    """Layers joined along one axis."""
    values = [r.map(r.layer(number)) for number in s.integers("layers")]
    (axis, *others) = read_axes(s, "axis")
    if others:
        raise s.error("axis is one of c, h and w", key="axis", remedy="one letter")
    return r.result("concat", *values, axis=axis)


@reads("shortcut")
def read_shortcut(r: Reading, s: Section) -> Value:
    """alpha * previous + beta * from. Unequal shapes, which upstream subsamples or cuts, are refused."""
    values = [r.previous, r.source]
    if len(values[0].shape) != len(values[1].shape):
        values = [r.image(v) for v in values]
    if values[0].shape != values[1].shape:
        raise s.error(
            "a [shortcut] adds layers of one shape",
            key="from",
            because=f"they have {list(values[0].shape[1:])} and {list(values[1].shape[1:])}",
            remedy="upstream subsamples or cuts the larger one; no rule reads that",
        )
    factors = [s.number("alpha", 1), s.number("beta", 1)]
    op = "add"
    if factors[1] == -1:
        op, factors[1] = "sub", 1
    scaled = [
        v if f == 1 else r.add("scale", v, weight=np.asarray(f, FLOAT))
        for v, f in zip(values, factors, strict=True)
    ]
    acts = activation_steps(s, "linear", alpha=False)
    if not acts:
        return r.result(op, *scaled)
    return r.chain(r.add(op, *scaled), *acts)


def _lacks_concat(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    axis = node.attrs["axis"] % len(node.shape)
    if axis == 1:
        return None
    if not dialect["own_layers"]:
        return "a [route] joins along axis 1 only"
    return None if axis else "Darknet does not join along the batch"


@writes("concat", lacks=_lacks_concat, sections=("route", "concat"))
def write_concat(w: Writing, unit: Unit) -> None:
    """[route] by the numbers of the layers, whatever their shapes: axis 1 is the outermost of an image.

    Along other axes [concat].
    """
    node = unit.head
    axis = node.attrs["axis"] % len(node.shape)
    if axis == 1:
        layers = tuple(w.layer(name) for name in node.inputs)
        w.section("route", unit, {"layers": layers}, shape=joined([w.shape(name) for name in node.inputs]))
        return
    found = [arranged(w.graph.value(name).shape, (axis,)) for name in node.inputs]
    views = [view for view in found if view is not None]
    layers = tuple(w.layer(name, view) for name, (view, _) in zip(node.inputs, views, strict=True))
    (letter,) = views[0][1]
    shape = arranged(node.shape, (axis,))
    assert shape is not None
    w.section("concat", unit, {"axis": letter, "layers": layers}, shape=shape[0])


def _lacks_add(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if dialect["own_layers"]:
        return lacks_pair(graph, node, dialect)
    shapes = [graph.value(name).shape for name in node.inputs]
    if shapes[0] != shapes[1]:
        return "a [shortcut] adds values of one shape"
    layers = [layer_shape(graph, name) for name in node.inputs]
    if layers[0] != layers[1] or len(layers[0]) != 3:
        return f"a [shortcut] adds layers of one shape, but these values are in layers of {layers}"
    return None


@writes("add", "sub", lacks=_lacks_add, sections=("shortcut", "sum"))
def write_add(w: Writing, unit: Unit) -> None:
    """[shortcut]: the previous layer and one other, which a minus sign may go to; or [sum]."""
    first, second = unit.head.inputs
    shape = w.shape(first)
    if w.own and (shape != w.shape(second) or len(shape) != 3 or not same_shapes(w.graph, unit.head)):
        write_pair(w, unit)
        return
    swapped = w.layer(second) == w.last
    previous, other = (second, first) if swapped else (first, second)
    of = w.layer(other)
    w.use(previous)
    options: dict[str, Any] = {"from": of}
    if unit.head.op == "sub":
        options["alpha" if swapped else "beta"] = -1
    w.section("shortcut", unit, {**options, **unit.activation}, shape=shape)
