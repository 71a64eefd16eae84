"""A legalized graph to cfg and weights.

Darknet's layers form a chain: each reads the one before it, and a [route] stands where the graph reads
something older, a [reshape] where it reads values in another shape. The network's input is no layer, so only
the first one can read it; where the graph wants it later, the first layer is a copy of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats import Written
from mgn_convert.formats.darknet.cfg import format_cfg
from mgn_convert.formats.darknet.fusion import Unit, units
from mgn_convert.formats.darknet.layout import fits, is_free, mapped
from mgn_convert.formats.darknet.registry import writers
from mgn_convert.formats.darknet.weights import write_weights
from mgn_convert.graph import Array, Graph, Node, Shape
from mgn_convert.passes.legalize import Target

_INPUT = -1


class _InputReadLateError(Exception):
    """The network's input is wanted after the first layer."""


class Writing:
    """What a writing rule works with: the sections so far, and where each value is, in which shape."""

    def __init__(self, graph: Graph, dialect: Mapping[str, Any], *, copy_input: bool) -> None:
        self.graph = graph
        self.dialect = dict(dialect)
        self.sections: list[tuple[str, dict[str, Any]]] = []
        self.arrays: list[Array] = []
        self.tensors: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = []
        self._traced = any(node.origin.tensor for node in graph.nodes)
        entry = graph.inputs[0]
        self._names: set[str] = set()
        size = dict(zip(("channels", "height", "width"), entry.shape[1:], strict=True))
        self.net = {"batch": 1, **size}
        self._place = {entry.name: _INPUT}
        self._shapes = {_INPUT: entry.shape[1:]}
        self._views: dict[tuple[int, Shape], int] = {}
        if copy_input:
            options = {"name": self._unique(f"{entry.name}.copy"), "activation": "linear"}
            self._place[entry.name] = self._append("activation", options, entry.shape[1:])

    @property
    def own(self) -> bool:
        """Whether the sections of our engine may be used."""
        return bool(self.dialect["own_layers"])

    @property
    def last(self) -> int:
        """The number of the layer that the next section will read; -1 is the network's input."""
        return len(self.sections) - 1

    def has(self, value: str) -> bool:
        """Whether a value has been written."""
        return value in self._place

    def shape(self, value: str) -> Shape:
        """(C, H, W) of the layer that holds a value, or (count,)."""
        return self._shapes[self._place[value]]

    def layer(self, value: str, shape: Shape | None = None) -> int:
        """The number of a layer that holds a value, in this shape if one is given."""
        place = self._placed(value, shape)
        if place < 0:
            raise _InputReadLateError
        return place

    def use(self, value: str, shape: Shape | None = None) -> None:
        """Make sure that the next section reads this value, in this shape if one is given."""
        self._turn_to(self._placed(value, shape))

    def helper(self, kind: str, options: Mapping[str, Any], shape: Shape) -> int:
        """Add a section that gives no value of the graph; its number."""
        return self._append(kind, dict(options), shape)

    def section(
        self, kind: str, unit: Unit, options: Mapping[str, Any], *arrays: Array, shape: Shape
    ) -> None:
        """Add the section that gives the unit's value; `arrays` go to the weights file in this order.

        shape: of the new layer.
        """
        index = self._append(kind, {"name": self._unique(unit.name), **options}, shape)
        self.arrays += arrays
        self._place[unit.name] = index
        self._record(unit.nodes, index)

    def alias(self, node: Node) -> None:
        """Note that the node's value is in the layer of its input."""
        self._place[node.name] = self._place[node.inputs[0]]
        if self._place[node.name] >= 0:
            self._record((node,), self._place[node.name])

    def finish(self, value: str) -> None:
        """Make the network end with this value, in its shape where our engine can give it that."""
        shape = self.graph.value(value).shape
        if self.own and not fits(self.shape(value), shape):
            self.use(value, mapped(shape))
            kind, options = self.sections[-1]
            self.sections[-1] = (kind, {"name": self._unique(value), **options})
            self.tensors = [(t, {"layer": self.last} if t == value else at, c) for t, at, c in self.tensors]
        else:
            self.use(value)

    def _placed(self, value: str, shape: Shape | None) -> int:
        place = self._place[value]
        if shape is None or self._shapes[place] == shape:
            return place
        if (place, shape) not in self._views:
            self._turn_to(place)
            options = dict(zip("chw", shape, strict=True))
            self._views[place, shape] = self._append("reshape", options, shape)
        return self._views[place, shape]

    def _turn_to(self, place: int) -> None:
        if place == self.last:
            return
        if place < 0:
            raise _InputReadLateError
        self._append("route", {"layers": place}, self._shapes[place])

    def _record(self, nodes: Sequence[Node], layer: int) -> None:
        """Note where the last of `nodes` is, unless it is only a step on the way to a tensor."""
        covers = tuple(node.name for node in nodes if node.origin.tensor or not self._traced)
        if covers and covers[-1] == nodes[-1].name:
            self.tensors.append((covers[-1], {"layer": layer}, covers))

    def _append(self, kind: str, options: dict[str, Any], shape: Shape) -> int:
        self.sections.append((kind, options))
        self._shapes[self.last] = shape
        return self.last

    def _unique(self, name: str) -> str:
        """A name that survives in a cfg, where blanks vanish, and is no number, which would be an index."""
        clean = "".join(c if c.isprintable() and not c.isspace() else "_" for c in name)
        if not clean.strip("+-0123456789"):
            clean = f"layer{clean}"
        candidate, count = clean, 0
        while candidate in self._names:
            count += 1
            candidate = f"{clean}_{count}"
        self._names.add(candidate)
        return candidate


def write(graph: Graph, folder: Path, stem: str, target: Target) -> Written:
    """Write stem.cfg and stem.weights into `folder`. The graph is one that `legalize` made for `target`."""
    _check_ends(graph)
    try:
        writing = _sections(graph, target, copy_input=False)
    except _InputReadLateError:
        writing = _sections(graph, target, copy_input=True)
    cfg, weights = folder / f"{stem}.cfg", folder / f"{stem}.weights"
    heading = f"{graph.name} for Darknet, dialect {target.name}. The number before a section is its layer's."
    text = format_cfg([("net", writing.net), *writing.sections], " ".join(heading.split()))
    cfg.write_text(text, encoding="utf8", newline="\n")
    write_weights(weights, writing.arrays)
    return Written((cfg, weights), tuple(writing.tensors), graph.outputs)


def _sections(graph: Graph, target: Target, *, copy_input: bool) -> Writing:
    writing = Writing(graph, target.dialect, copy_input=copy_input)
    rules = writers()
    for unit in units(graph, own=writing.own):
        if is_free(graph, unit.head):
            writing.alias(unit.head)
        else:
            rules[unit.head.op].write(writing, unit)
    writing.finish(graph.outputs[0])
    if not writing.sections:
        raise _InputReadLateError
    return writing


def _check_ends(graph: Graph) -> None:
    shapes = [list(value.shape) for value in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise UnsupportedError(
            f"{graph.name} cannot be written for Darknet",
            because="a Darknet network has one input of (N, C, H, W)",
            got=f"inputs of shapes {shapes}",
        )
    if len(graph.outputs) != 1:
        raise UnsupportedError(
            f"{graph.name} cannot be written for Darknet",
            because="a Darknet network has one output, its last layer",
            got=f"{len(graph.outputs)} outputs: {', '.join(graph.outputs)}",
            remedy="pick one with --output",
        )
