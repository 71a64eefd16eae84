"""Zeros around a map, left to the convolution that reads it."""

from __future__ import annotations

from mgn_convert.graph import Graph, GraphBuilder, Node, Value, rewrite


def fold_padding(graph: Graph) -> Graph:
    """The graph without those pads by zeros, alike on opposite sides, that nothing but convolutions read.

    A convolution of padded x is the convolution of x with that much more padding. Exact.
    """
    folded = {node.name for node in graph.nodes if _foldable(graph, node)}
    sources: dict[str, Value] = {}

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        if node.name in folded:
            sources[node.name] = inputs[0]
        if node.op != "conv" or node.inputs[0] not in folded:
            return None
        top, left, _, _ = graph.node(node.inputs[0]).attrs["padding"]
        high, wide = node.attrs["padding"]
        fields = {**node.attrs, **node.params, "padding": (high + top, wide + left)}
        return builder.add("conv", sources[node.inputs[0]], name=node.name, origin=node.origin, **fields)

    return rewrite(graph, rule).pruned() if folded else graph


def _foldable(graph: Graph, node: Node) -> bool:
    if node.op != "pad" or node.attrs["value"] != 0 or node.name in graph.outputs:
        return False
    top, left, bottom, right = node.attrs["padding"]
    readers = graph.consumers(node.name)
    alike = top == bottom and left == right and min(top, left) >= 0
    return alike and bool(readers) and all(reader.op == "conv" for reader in readers)
