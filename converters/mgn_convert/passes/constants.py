"""What does not depend on an input is computed once, here."""

from __future__ import annotations

import numpy as np

from mgn_convert.graph import Graph, GraphBuilder, Node, Value, rewrite
from mgn_convert.graph.interpreter import evaluate


def fold_constants(graph: Graph) -> Graph:
    """The graph with every node that reads only constants replaced by its result, computed in float64."""

    def fold(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        makers = [builder.producer(value) for value in inputs]
        if not makers or not all(maker is not None and maker.op == "constant" for maker in makers):
            return None
        arrays = [maker.params["value"].astype(np.float64) for maker in makers if maker is not None]
        value = evaluate(node, arrays, np.dtype(np.float64))
        return builder.add("constant", name=node.name, origin=node.origin, value=value)

    return rewrite(graph, fold).pruned()
