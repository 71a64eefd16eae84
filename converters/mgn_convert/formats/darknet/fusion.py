"""Nodes that one Darknet section computes together: a layer, its normalisation and its activation."""

from __future__ import annotations

from dataclasses import dataclass

from mgn_convert.formats.darknet.layout import has_channels
from mgn_convert.graph.types import Graph, Node

ACTIVATIONS = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "clip")
_NORMALIZED = ("conv", "conv_transpose", "linear", "batch_norm")
_ACTIVATED = (*_NORMALIZED, "scale", "add", "sub")


@dataclass(frozen=True)
class Unit:
    """The nodes of one section: `head`, then maybe a batch norm, its scale and shift, and an activation."""

    head: Node
    norm: Node | None = None
    scale: Node | None = None
    act: Node | None = None

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All of them, in the order of computation."""
        found = (self.head, self.norm, self.scale, self.act)
        return tuple(dict.fromkeys(node for node in found if node is not None))

    @property
    def name(self) -> str:
        """The value that the section gives."""
        return self.nodes[-1].name

    @property
    def activation(self) -> str:
        """Darknet's word for the activation; "linear" for none."""
        return (self.act and activation_of(self.act)) or "linear"


def activation_of(node: Node) -> str | None:
    """Darknet's word for an activation node; None when it has none for these numbers."""
    if node.op == "leaky_relu":
        return {0.1: "leaky", 0.01: "relie"}.get(round(float(node.attrs["slope"]), 8))
    if node.op == "elu":
        return "elu" if node.attrs["alpha"] == 1 else None
    if node.op == "clip":
        return "hardtan" if (node.attrs["min"], node.attrs["max"]) == (-1, 1) else None
    return {"relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}.get(node.op)


def units(graph: Graph) -> list[Unit]:
    """Every node of the graph, in as few sections as its values allow.

    A value that is an output, or that more than one node reads, ends its section.
    """
    found: list[Unit] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name not in taken:
            unit = _unit(graph, node)
            taken.update(part.name for part in unit.nodes)
            found.append(unit)
    return found


def is_channel_scale(graph: Graph, node: Node) -> bool:
    """Whether a scale node multiplies and shifts whole channels, by one number each or one for all."""
    channels = graph.value(node.inputs[0]).shape[1]
    per_channel = node.attrs["axis"] in (1, 1 - len(node.shape))
    shapes = {array.shape for array in node.params.values()}
    return shapes <= {()} or (per_channel and shapes <= {(channels,), ()})


def _unit(graph: Graph, head: Node) -> Unit:
    if head.op == "conv_transpose" and head.attrs["groups"] > 1:
        return Unit(head)
    last = head
    norm = scale = act = None
    if head.op == "batch_norm":
        norm = head
    elif head.op in _NORMALIZED and (norm := _next(graph, last, ("batch_norm",))):
        last = norm
    if norm and not {"weight", "bias"} & set(norm.params):
        follower = _next(graph, last, ("scale",))
        if follower and is_channel_scale(graph, follower):
            last = scale = follower
    if head.op in _ACTIVATED and (follower := _next(graph, last, ACTIVATIONS)):
        act = follower
    return Unit(head, norm, scale, act)


def _next(graph: Graph, node: Node, ops: tuple[str, ...]) -> Node | None:
    readers = graph.consumers(node.name)
    if node.name in graph.outputs or len(readers) != 1 or readers[0].op not in ops:
        return None
    return readers[0] if has_channels(graph, node.name) else None
