"""Nodes that one Darknet section computes together: a layer, its normalisation and its activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mgn_convert.formats.darknet.layout import bounds
from mgn_convert.graph.types import Graph, Node

_NORMALIZED = ("conv", "conv_transpose", "linear", "batch_norm")
_PAIRS = ("add", "sub", "mul", "div", "maximum")
_PLAIN = {"relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}
_OWN = {"softplus": "softplus", "exp": "exp", "log": "log", "abs": "abs"}
ACTIVATIONS = (*_PLAIN, "leaky_relu", "elu", "clip", "gelu", *_OWN)


@dataclass(frozen=True)
class Unit:
    """The nodes of one section: `head`, then maybe a batch norm, its scale and shift, and an activation."""

    head: Node
    norm: Node | None = None
    scale: Node | None = None
    act: Node | None = None
    own: bool = False

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
    def activation(self) -> Mapping[str, Any]:
        """activation= and its number; linear for none."""
        found = activation_of(self.act, own=self.own) if self.act else None
        return found or {"activation": "linear"}


def activation_of(node: Node, *, own: bool) -> dict[str, Any] | None:
    """The options of a section that mean this activation; None when there are none.

    own: those of our engine too.
    """
    word, number = _PLAIN.get(node.op), {}
    if node.op == "leaky_relu":
        slope = float(node.attrs["slope"])
        word = {0.1: "leaky", 0.01: "relie"}.get(round(slope, 8))
        if word is None and own:
            word, number = "leaky", {"slope": slope}
    elif node.op == "elu":
        alpha = float(node.attrs["alpha"])
        word = "elu" if alpha == 1 or own else None
        number = {} if alpha == 1 else {"alpha": alpha}
    elif node.op == "clip":
        limits: dict[object, str | None] = {(-1, 1): "hardtan", (0, 6): "relu6" if own else None}
        word = limits.get(bounds(node))
    elif node.op == "gelu" and own:
        word = "gelu_tanh" if node.attrs["approximate"] == "tanh" else "gelu"
    elif own:
        word = word or _OWN.get(node.op)
    return {"activation": word, **number} if word else None


def units(graph: Graph, *, own: bool) -> list[Unit]:
    """Every node of the graph, in as few sections as its values allow. own: as for `activation_of`.

    A value that is an output, or that more than one node reads, ends its section.
    """
    found: list[Unit] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name not in taken:
            unit = _unit(graph, node, own=own)
            taken.update(part.name for part in unit.nodes)
            found.append(unit)
    return found


def is_channel_scale(graph: Graph, node: Node) -> bool:
    """Whether a scale node multiplies and shifts whole channels, by one number each or one for all."""
    channels = graph.value(node.inputs[0]).shape[1]
    per_channel = node.attrs["axis"] in (1, 1 - len(node.shape))
    shapes = {array.shape for array in node.params.values()}
    return shapes <= {()} or (per_channel and shapes <= {(channels,), ()})


def is_nearest(node: Node) -> bool:
    """Whether a transposed convolution just repeats every cell: [upsample]."""
    if node.op != "conv_transpose":
        return False
    weight, attrs = node.params["weight"], node.attrs
    kernel = weight.shape[2]
    return (
        attrs["groups"] == weight.shape[0]
        and weight.shape[1:] == (1, kernel, kernel)
        and tuple(attrs["stride"]) == (kernel, kernel)
        and not any((*attrs["padding"], *attrs["output_padding"]))
        and tuple(attrs["dilation"]) == (1, 1)
        and "bias" not in node.params
        and bool((weight == 1).all())
    )


def _unit(graph: Graph, head: Node, *, own: bool) -> Unit:
    if is_nearest(head):
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
    follower = _next(graph, last, ACTIVATIONS) if _takes_activation(head, own=own) else None
    options = follower and activation_of(follower, own=own)
    # The alpha of a [shortcut] is not that of elu.
    if options and not (head.op in ("add", "sub") and "alpha" in options):
        act = follower
    return Unit(head, norm, scale, act, own)


def _takes_activation(head: Node, *, own: bool) -> bool:
    """Our [batchnorm] and [scale] have no activation, the convolutions that stand for them upstream do."""
    return head.op in (_PAIRS if own else ("add", "sub", "batch_norm", "scale")) or head.op in _NORMALIZED[:3]


def _next(graph: Graph, node: Node, ops: tuple[str, ...]) -> Node | None:
    readers = graph.consumers(node.name)
    if node.name in graph.outputs or len(readers) != 1 or readers[0].op not in ops:
        return None
    return readers[0]
