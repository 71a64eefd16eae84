"""The only way to make a graph: shapes are inferred and checked as each node is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mgn_convert.errors import GraphError
from mgn_convert.graph.ops import op_spec
from mgn_convert.graph.types import Graph, Node, Origin, Shape, Value

Rewrite = Callable[["GraphBuilder", Node, tuple[Value, ...]], "Value | None"]


class GraphBuilder:
    """Collects nodes in execution order.

    b = GraphBuilder("net")
    x = b.input("data", (1, 3, 8, 8))
    y = b.add("conv", x, weight=w, padding=(1, 1), name="conv1")
    graph = b.graph([b.add("relu", y, name="relu1")])
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._inputs: list[Value] = []
        self._nodes: list[Node] = []
        self._values: dict[str, Value] = {}

    def input(self, name: str, shape: Shape, dtype: str = "float32") -> Value:
        """A new network input."""
        value = Value(self.unique(name), tuple(int(n) for n in shape), dtype)
        if any(n < 1 for n in value.shape):
            raise GraphError("an input needs positive dimensions", at=name, got=str(value.shape))
        self._inputs.append(value)
        self._values[value.name] = value
        return value

    def unique(self, name: str) -> str:
        """`name`, or `name_1`, `name_2`, ... if it is taken."""
        candidate, count = name, 0
        while candidate in self._values:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def add(
        self, op: str, *inputs: Value, name: str = "", origin: Origin | None = None, **fields: Any
    ) -> Value:
        """Add one node and return its result.

        fields: the op's attributes and its weights, by the names in its specification.
        Raises GraphError when a field is unknown or missing, or the shapes break the op's rules.
        """
        spec = op_spec(op)
        for value in inputs:
            if self._values.get(value.name) is not value:
                raise GraphError(f"{op} reads a value of another graph", at=name, got=value.name)
        params = {k: np.asarray(v) for k, v in fields.items() if k in spec.params and v is not None}
        attrs = {k: v for k, v in fields.items() if k not in spec.params}
        name = self.unique(name or op)
        origin = origin or Origin()
        try:
            attrs = spec.complete(attrs, params, len(inputs))
            shape = spec.infer([v.shape for v in inputs], attrs, params)
            if any(n < 1 for n in shape):
                raise GraphError("a result needs positive dimensions", got=f"{list(shape)} from {attrs}")
        except GraphError as error:
            raise GraphError(
                f"{op}: {error.what}", at=str(origin) or name, because=error.because, got=error.got
            ) from None
        value = Value(name, tuple(int(n) for n in shape))
        self._nodes.append(Node(op, tuple(v.name for v in inputs), value, attrs, params, origin))
        self._values[name] = value
        return value

    def copy(self, node: Node, inputs: Sequence[Value]) -> Value:
        """Add `node` again, over `inputs`, under its own name."""
        return self.add(
            node.op, *inputs, name=node.name, origin=node.origin, **dict(node.attrs), **dict(node.params)
        )

    def producer(self, value: Value) -> Node | None:
        """The node that computes `value`; None for an input."""
        return next((node for node in reversed(self._nodes) if node.value is value), None)

    def graph(self, outputs: Sequence[Value]) -> Graph:
        """The finished graph."""
        return Graph(self.name, tuple(self._inputs), tuple(self._nodes), tuple(v.name for v in outputs))


def rewrite(graph: Graph, rule: Rewrite, *, batch: int | None = None) -> Graph:
    """A copy of `graph` in which `rule(builder, node, inputs)` may replace nodes.

    A rule returns the value that stands for the node's result, or None to keep the node as it is.
    batch: a new size for axis 0 of every input.
    """
    builder = GraphBuilder(graph.name)
    made: dict[str, Value] = {}
    for value in graph.inputs:
        shape = value.shape if batch is None else (batch, *value.shape[1:])
        made[value.name] = builder.input(value.name, shape, value.dtype)
    for node in graph.nodes:
        inputs = tuple(made[name] for name in node.inputs)
        result = rule(builder, node, inputs)
        made[node.name] = builder.copy(node, inputs) if result is None else result
    return builder.graph([made[name] for name in graph.outputs])


def with_batch(graph: Graph, batch: int) -> Graph:
    """The same network for another batch size. Raises GraphError when a node fixes the batch."""
    return rewrite(graph, lambda b, node, inputs: None, batch=batch)
