"""Scales joined to the batch norm before them."""

from __future__ import annotations

from mgn_convert.graph import Graph, GraphBuilder, Node, Value, rewrite


def join_scale(graph: Graph) -> Graph:
    """BatchNorm and Scale, Caffe's two halves of a batch norm, as the one node that they stand for.

    Applies where a scale along the channels alone reads a batch norm without weight and bias.
    """
    joined = {node.name for node in graph.nodes if _joinable(graph, node)}
    sources: dict[str, Value] = {}

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        if node.op == "batch_norm":
            sources[node.name] = inputs[0]
        if node.name not in joined:
            return None
        norm = graph.node(node.inputs[0])
        return builder.add(
            "batch_norm",
            sources[norm.name],
            name=node.name,
            origin=node.origin,
            eps=norm.attrs["eps"],
            **{**norm.params, **node.params},
        )

    return rewrite(graph, rule).pruned()


def _joinable(graph: Graph, node: Node) -> bool:
    if node.op != "scale" or node.inputs[0] not in graph:
        return False
    norm = graph.node(node.inputs[0])
    alone = len(graph.consumers(norm.name)) == 1 and norm.name not in graph.outputs
    bare = norm.op == "batch_norm" and set(norm.params) == {"mean", "var"}
    channels = node.attrs["axis"] % len(node.shape) == 1
    return alone and bare and channels and all(a.ndim == 1 for a in node.params.values())
