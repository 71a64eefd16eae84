"""Legalized graph -> prototxt + caffemodel, by the rules of rules/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mgn_convert.errors import GraphError
from mgn_convert.formats import Written
from mgn_convert.formats.caffe import registry, text
from mgn_convert.formats.caffe.binary import Weights, write_caffemodel
from mgn_convert.formats.caffe.proto import net_parameter
from mgn_convert.graph import Array, Graph, Node
from mgn_convert.passes.legalize import Target


class NetWriter:
    """What a writing rule sees: the graph, the dialect, and where layers go.

    Every value becomes a blob that is called like it, made by a layer that is called like it too.
    """

    def __init__(self, graph: Graph, dialect: Mapping[str, Any]) -> None:
        self.graph, self.dialect = graph, dialect
        self.message = net_parameter()
        self.message.name = graph.name
        self.weights: list[Weights] = []
        self._taken: set[str] = {"input"}  # Caffe's own name for the inputs of old files
        self._blobs: dict[str, str] = {}
        self._sliced: set[str] = set()
        names = [value.name for value in graph.inputs]
        names = ["data"] if len(names) == 1 else names
        for value, name in zip(graph.inputs, names, strict=True):
            self._blobs[value.name] = self.fresh(name)
        for node in graph.nodes:
            self._blobs[node.name] = self.fresh(node.name)

    def fresh(self, name: str) -> str:
        """`name` in the characters that every reader takes, and unlike all names given before."""
        base = re.sub(r"[^A-Za-z0-9_./-]", "_", name).replace("_split_", "_split-") or "blob"
        candidate, count = base, 0
        while candidate in self._taken:
            count += 1
            candidate = f"{base}_{count}"
        self._taken.add(candidate)
        return candidate

    def top(self, name: str) -> str:
        """The blob of the value called `name`."""
        return self._blobs[name]

    bottom = top

    def layer(
        self,
        kind: str,
        node: Node,
        *,
        name: str = "",
        bottoms: Iterable[str] | None = None,
        tops: Iterable[str] | None = None,
        blobs: Sequence[Array | None] = (),
        **params: Mapping[str, Any],
    ) -> None:
        """Add a layer: by default called as the node's blob, reading its inputs, making its blob.

        params: parameter messages, such as relu_param={"negative_slope": 0.1}.
        """
        message = self.message.layer.add()
        message.name, message.type = name or self.top(node.name), kind
        message.bottom.extend([self.bottom(i) for i in node.inputs] if bottoms is None else bottoms)
        message.top.extend([self.top(node.name)] if tops is None else tops)
        for field, content in params.items():
            if content:
                _fill(getattr(message, field), content)
        present = tuple(blob for blob in blobs if blob is not None)
        if present:
            self.weights.append(
                Weights(message.name, present, kind, tuple(message.bottom), tuple(message.top))
            )

    def inputs(self) -> None:
        """Add one Input layer for each input of the graph."""
        for value in self.graph.inputs:
            message = self.message.layer.add()
            message.name, message.type = self.top(value.name), "Input"
            message.top.append(self.top(value.name))
            message.input_param.shape.add().dim.extend(value.shape)

    def silence(self, tops: Sequence[str], name: str) -> None:
        """Swallow tops that nobody reads, which would be outputs otherwise."""
        if tops:
            message = self.message.layer.add()
            message.name, message.type = self.fresh(name), "Silence"
            message.bottom.extend(tops)

    def slices(self, node: Node) -> None:
        """Add one Slice layer for `node` and its siblings that cut the same axis, and silence the rest."""
        if node.name in self._sliced:
            return
        axis = node.attrs["axis"] % len(node.shape)
        size = self.graph.value(node.inputs[0]).shape[axis]
        parts = _disjoint(node, [n for n in self._siblings(node, axis) if n.name not in self._sliced])
        self._sliced.update(part.name for part in parts)
        bottom = self.bottom(node.inputs[0])
        name = self.fresh(f"{bottom}.slice")
        points, tops, dead, at = [], [], [], 0
        for part in [*parts, None]:
            start = part.attrs["start"] if part else size
            if start > at:
                points.append(at)
                dead.append(self.fresh(f"{name}.rest"))
                tops.append(dead[-1])
            if part:
                points.append(start)
                tops.append(self.top(part.name))
                at = part.attrs["stop"]
        param = {"slice_point": points[1:], **({} if axis == 1 else {"axis": axis})}
        self.layer("Slice", node, name=name, bottoms=[bottom], tops=tops, slice_param=param)
        self.silence(dead, f"{name}.silence")

    def _siblings(self, node: Node, axis: int) -> list[Node]:
        readers = self.graph.consumers(node.inputs[0])
        return [n for n in readers if n.op == "slice" and n.attrs["axis"] % len(n.shape) == axis]

    def ends(self) -> dict[str, str]:
        """Output -> its blob. A value that layers read, too, is copied once more, because Caffe's outputs are
        the tops that nobody reads; and so is a top of a Slice, of which OpenCV shows the first alone.
        """
        found: dict[str, str] = {}
        read = {bottom for message in self.message.layer for bottom in message.bottom}
        for name in self.graph.outputs:
            blob = self.top(name)
            if name not in self.graph or self.graph.node(name).op == "slice" or blob in read:
                copy = self.fresh(f"{blob}.output")
                message = self.message.layer.add()
                message.name, message.type = copy, "Power"
                message.bottom.append(blob)
                message.top.append(copy)
                blob = copy
            found[name] = blob
        unread = [self.top(v.name) for v in self.graph.inputs if not self.graph.consumers(v.name)]
        self.silence([top for top in unread if top not in read], "unread.silence")
        return found


def _disjoint(first: Node, candidates: Sequence[Node]) -> list[Node]:
    """`first` and those of the slices that overlap neither it nor each other, in order along the axis."""
    parts: list[Node] = [first]
    for node in candidates:
        start, stop = node.attrs["start"], node.attrs["stop"]
        if all(stop <= p.attrs["start"] or p.attrs["stop"] <= start for p in parts):
            parts.append(node)
    return sorted(parts, key=lambda part: int(part.attrs["start"]))


def _fill(message: Any, content: Mapping[str, Any]) -> None:
    for key, value in content.items():
        field = getattr(message, key)
        if isinstance(value, Mapping):
            _fill(field, value)
        elif hasattr(field, "extend"):
            field.extend(value if isinstance(value, list) else [value])
        else:
            setattr(message, key, value)


def write(graph: Graph, folder: Path, stem: str, target: Target) -> Written:
    """Write STEM.prototxt and STEM.caffemodel into `folder`.

    The graph is legal for `target`. Its inputs keep their shapes, the batch among them; no other layer names
    the batch. Raises UnsupportedError when the weights exceed what one caffemodel holds.
    """
    registry.load_rules()
    graph = graph.pruned()
    net = NetWriter(graph, target.dialect)
    net.inputs()
    for node in graph.nodes:
        if node.op == "constant" and "Parameter" not in target.dialect["layers"]:
            raise GraphError("a constant is left after legalization", at=node.name)
        registry.WRITE[node.op].write(net, node)
    ends = net.ends()
    caffemodel, prototxt = folder / f"{stem}.caffemodel", folder / f"{stem}.prototxt"
    with caffemodel.open("wb") as file:
        write_caffemodel(file, graph.name, net.weights)
    prototxt.write_text(text.print_text(net.message), encoding="utf8")
    return Written((prototxt, caffemodel), _places(net, ends), graph.outputs)


def _places(
    net: NetWriter, ends: Mapping[str, str]
) -> tuple[tuple[str, Mapping[str, Any], tuple[str, ...]], ...]:
    """Where each tensor of the first graph is. Values that only legalization made have no tensor name."""
    listed = [n for n in net.graph.nodes if n.origin.tensor] or list(net.graph.nodes)
    return tuple((n.name, {"blob": ends.get(n.name, net.top(n.name))}, (n.name,)) for n in listed)
