"""Expansions: one node rebuilt from simpler ones, for targets that lack its op.

An expansion is called with (builder, node, inputs) and returns the value that stands for the node, under the
node's name, or None when it does not apply. Its docstring begins with the algebra. One family per file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mgn_convert.graph import GraphBuilder, Node, Origin, Value

Link = tuple[str, str, Mapping[str, Any]]


def step(builder: GraphBuilder, node: Node, op: str, *inputs: Value, suffix: str, **fields: Any) -> Value:
    """Add a node on the way to `node`: named after it and `suffix`, without a tensor name of its own."""
    origin = Origin("", node.origin.module, node.origin.source)
    return builder.add(op, *inputs, name=f"{node.name}.{suffix}", origin=origin, **fields)


def result(builder: GraphBuilder, node: Node, op: str, *inputs: Value, **fields: Any) -> Value:
    """Add the node that stands for `node`, under its name and origin."""
    return builder.add(op, *inputs, name=node.name, origin=node.origin, **fields)


def chain(builder: GraphBuilder, node: Node, x: Value, links: Iterable[Link]) -> Value:
    """Apply (suffix, op, fields) one after the other; the last stands for `node`. Without any, x unchanged
    goes through a power of 1, so that the node keeps its name.
    """
    todo = list(links) or [("same", "power", {})]
    for suffix, op, fields in todo[:-1]:
        x = step(builder, node, op, x, suffix=suffix, **fields)
    _, op, fields = todo[-1]
    return result(builder, node, op, x, **fields)


__all__ = ["Link", "chain", "result", "step"]
