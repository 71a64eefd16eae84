"""Batch normalisation folded into the convolution or linear layer before it.

    (w * x + b - mean) / sqrt(var + eps) * gamma + beta  =  (s w) * x + (s (b - mean) + beta),
    s = gamma / sqrt(var + eps)

computed in float64 and rounded once.
"""

from __future__ import annotations

import numpy as np

from mgn_convert.graph import Array, Graph, GraphBuilder, Node, Value, rewrite


def fold_batch_norm(graph: Graph) -> Graph:
    """The graph without those batch norms whose input is a convolution that nothing else reads."""
    folded = {node.name: graph.node(node.inputs[0]) for node in graph.nodes if _foldable(graph, node)}
    producers = {node.name for node in folded.values()}
    sources: dict[str, Value] = {}

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        if node.name in producers:
            sources[node.name] = inputs[0]
        producer = folded.get(node.name)
        if producer is None:
            return None
        weight, bias = _scaled(producer, node)
        return builder.add(
            producer.op,
            sources[producer.name],
            name=node.name,
            origin=node.origin,
            weight=weight,
            bias=bias,
            **producer.attrs,
        )

    return rewrite(graph, rule).pruned()


def _foldable(graph: Graph, node: Node) -> bool:
    if node.op != "batch_norm" or node.inputs[0] not in graph:
        return False
    producer = graph.node(node.inputs[0])
    alone = len(graph.consumers(producer.name)) == 1 and producer.name not in graph.outputs
    return alone and (producer.op == "conv" or (producer.op == "linear" and len(node.shape) == 2))


def _scaled(producer: Node, norm: Node) -> tuple[Array, Array]:
    wide = {name: array.astype(np.float64) for name, array in norm.params.items()}
    scale = wide.get("weight", 1.0) / np.sqrt(wide["var"] + norm.attrs["eps"])
    weight = producer.params["weight"]
    spread = scale.reshape(-1, *[1] * (weight.ndim - 1))
    bias = producer.params["bias"].astype(np.float64) if "bias" in producer.params else 0.0
    shifted = (bias - wide["mean"]) * scale + wide.get("bias", 0.0)
    return (weight * spread).astype(np.float32), shifted.astype(np.float32)
