"""Runs a graph in NumPy, by default in float64: the oracle that real engines are measured against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mgn_convert.errors import GraphError
from mgn_convert.graph.ops import op_spec
from mgn_convert.graph.types import Array, Graph, Node


def evaluate(node: Node, inputs: list[Array], dtype: np.dtype[Any]) -> Array:
    """The result of one node on the arrays `inputs`, in `dtype`."""
    params = {name: array.astype(dtype, copy=False) for name, array in node.params.items()}
    return op_spec(node.op).evaluate(inputs, node.attrs, params)


def interpret(
    graph: Graph, inputs: Mapping[str, Array], *, dtype: np.dtype[Any], taps: Iterable[str]
) -> dict[str, Array]:
    """See `Graph.run`. Values are dropped after their last use, so memory stays near the widest cut."""
    wanted = set(graph.outputs) | set(taps)
    unknown = [name for name in wanted if name not in graph and name not in {v.name for v in graph.inputs}]
    if unknown:
        raise GraphError(f"the network {graph.name} has no value {unknown[0]!r}")
    arrays = {v.name: _checked_input(graph, v.name, v.shape, inputs, dtype) for v in graph.inputs}
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    for node in graph.nodes:
        arrays[node.name] = evaluate(node, [arrays[name] for name in node.inputs], dtype)
        for name in node.inputs:
            uses[name] -= 1
            if not uses[name] and name not in wanted:
                del arrays[name]
    return {name: arrays[name] for name in [*graph.outputs, *taps]}


def _checked_input(
    graph: Graph, name: str, shape: tuple[int, ...], inputs: Mapping[str, Array], dtype: np.dtype[Any]
) -> Array:
    surplus = set(inputs) - {v.name for v in graph.inputs}
    if name not in inputs or surplus:
        raise GraphError(
            f"the network {graph.name} takes the inputs {[v.name for v in graph.inputs]}",
            got=str(sorted(inputs)),
        )
    array = np.asarray(inputs[name])
    if array.ndim != len(shape) or array.shape[1:] != shape[1:]:
        raise GraphError(
            f"the input {name} of {graph.name} has another shape",
            got=f"{list(array.shape)}, wanted {['N', *shape[1:]]}",
        )
    return array.astype(dtype, copy=False)
