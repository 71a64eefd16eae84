"""What is done to a graph once all nodes are read."""

from __future__ import annotations

from collections.abc import Mapping

from mgn_convert.graph import Graph, GraphBuilder, Node, Origin, Value, rewrite


def cut_before_turning(graph: Graph, batch: int) -> Graph:
    """Places picked out of a permutation as permutations of places picked.

    So queries, keys and values that one layer makes, (N, L, 3, heads, width) permuted to
    (3, N, heads, L, width), never hold the images on axis 1. batch: the size that tells images.
    """
    sources: dict[str, Value] = {}

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        if node.op == "permute":
            sources[node.name] = inputs[0]
        found = _picked(graph, node, batch)
        if found is None:
            return None
        turned, cut = found
        order = turned.attrs["order"]
        axis = order[cut.attrs["axis"]]
        passing = Origin("", node.origin.module, node.origin.source)
        part = builder.add(
            "slice",
            sources[turned.name],
            name=f"{node.name}.slice",
            origin=passing,
            **{**cut.attrs, "axis": axis},
        )
        left = (0, *part.shape[1:axis], *part.shape[axis + 1 :])
        narrow = builder.add("reshape", part, name=f"{node.name}.reshape", origin=passing, shape=left)
        kept = tuple(a - (a > axis) for a in order if a != axis)
        return builder.add("permute", narrow, name=node.name, origin=node.origin, order=kept)

    return rewrite(graph, rule).pruned()


def renamed(graph: Graph, names: Mapping[str, tuple[str, Origin]]) -> Graph:
    """Nodes under other names and origins, where their results are outputs by way of mere copies."""

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        if node.name not in names:
            return None
        name, origin = names[node.name]
        return builder.add(node.op, *inputs, name=name, origin=origin, **node.attrs, **node.params)

    return rewrite(graph, rule)


def _picked(graph: Graph, node: Node, batch: int) -> tuple[Node, Node] | None:
    """(permutation, slice) of which `node` drops the axis, where the permutation moves the images away."""
    if node.op != "reshape" or node.inputs[0] not in graph:
        return None
    cut = graph.node(node.inputs[0])
    if cut.op != "slice" or cut.inputs[0] not in graph:
        return None
    turned = graph.node(cut.inputs[0])
    if turned.op != "permute" or turned.shape[0] == batch:
        return None
    axis = cut.attrs["axis"]
    drops = node.shape == (*cut.shape[:axis], *cut.shape[axis + 1 :]) and cut.shape[axis] == 1
    first_again = node.shape[0] == batch == graph.value(turned.inputs[0]).shape[0]
    return (turned, cut) if drops and first_again else None
