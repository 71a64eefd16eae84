"""Rewrite a graph into what a target can express, or refuse with every reason at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mgn_convert.errors import UnsupportedError
from mgn_convert.graph import Graph, GraphBuilder, Node, Value, rewrite
from mgn_convert.packaging import Packaging

Expansion = Callable[[GraphBuilder, Node, tuple[Value, ...]], "Value | None"]
Check = Callable[[Graph, Node], "str | None"]
Pass = Callable[[Graph], Graph]
Remedy = Callable[[Node, tuple[Value, ...]], str]

_REMEDY = 'another --dialect, or add a rule: CONTRIBUTING.md, "Add an op"'


@dataclass(frozen=True)
class Target:
    """What one destination can express.

    lacks: (graph, node) -> None when the node can be written as it is, else the reason why not.
    expansions: op -> functions tried in turn; each rebuilds a node from simpler ones under the node's name,
    or returns None when it does not apply.
    dialect: the destination's options as data, read by its writer.
    prepare: passes over the whole graph that come first.
    remedy: (node, inputs) -> what to try where a node fits in no way; empty where nothing is known to help.
    packaging: what the writer puts around the network.
    """

    format: str
    name: str
    lacks: Check
    expansions: Mapping[str, tuple[Expansion, ...]] = field(default_factory=dict)
    dialect: Mapping[str, Any] = field(default_factory=dict)
    prepare: tuple[Pass, ...] = ()
    remedy: Remedy = lambda node, inputs: ""
    packaging: Packaging = field(default_factory=Packaging)


def legalize(graph: Graph, target: Target, *, rounds: int = 8) -> Graph:
    """The graph in terms that `target` can express.

    Expansions apply until every node fits, at most `rounds` times over.
    Raises UnsupportedError with one entry per node that fits in no way.
    """
    for rebuild in target.prepare:
        graph = rebuild(graph)
    for _ in range(rounds):
        reasons = {n.name: reason for n in graph.nodes if (reason := target.lacks(graph, n)) is not None}
        if not reasons:
            return graph.pruned()
        refusals: list[UnsupportedError] = []

        def expand(
            builder: GraphBuilder,
            node: Node,
            inputs: tuple[Value, ...],
            reasons: dict[str, str] = reasons,
            refusals: list[UnsupportedError] = refusals,
        ) -> Value | None:
            if node.name not in reasons:
                return None
            for expansion in target.expansions.get(node.op, ()):
                result = expansion(builder, node, inputs)
                if result is not None:
                    return result
            refusals.append(_refusal(node, inputs, target, reasons[node.name]))
            return None

        rewritten = rewrite(graph, expand)
        if refusals:
            raise UnsupportedError.listing(
                f"{len(refusals)} nodes cannot be expressed in {target.format}", refusals
            )
        graph = rewritten
    raise UnsupportedError(f"legalizing {graph.name} for {target.name} does not end", because=str(reasons))


def _refusal(node: Node, inputs: tuple[Value, ...], target: Target, reason: str) -> UnsupportedError:
    attrs = " ".join(f"{k}={v}" for k, v in node.attrs.items())
    shapes = ", ".join("x".join(map(str, v.shape)) for v in inputs)
    return UnsupportedError(
        f"{node.op} cannot be expressed in {target.format} (dialect {target.name})",
        at=str(node.origin) or node.name,
        because=reason,
        got=f"{attrs} {shapes} -> {'x'.join(map(str, node.shape))}".strip(),
        remedy=target.remedy(node, inputs) or _REMEDY,
    )
