"""The neutral network: immutable nodes over named values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mgn_convert.errors import GraphError

Shape = tuple[int, ...]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: the name it had in the first graph, its module path and its source line."""

    tensor: str = ""
    module: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = self.module or self.tensor
        return f"{place} ({self.source})" if self.source else place


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor between nodes. Axis 0 is the batch; a 4-D value is N, C, H, W."""

    name: str
    shape: Shape
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Node:
    """One operation with one result. `params` are its weights, as views that are never copied."""

    op: str
    inputs: tuple[str, ...]
    value: Value
    attrs: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Array] = field(default_factory=dict)
    origin: Origin = Origin()

    @property
    def name(self) -> str:
        """The node is called as its result."""
        return self.value.name

    @property
    def shape(self) -> Shape:
        return self.value.shape

    def __str__(self) -> str:
        attrs = "".join(f" {k}={v}" for k, v in self.attrs.items())
        return f"{self.name} = {self.op}({', '.join(self.inputs)}){attrs} {list(self.shape)}"


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order; `outputs` are names of values. Built through `GraphBuilder`."""

    name: str
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    @cached_property
    def _nodes_by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _consumers(self) -> dict[str, tuple[Node, ...]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def node(self, name: str) -> Node:
        """The node that computes `name`. Raises KeyError for inputs and unknown names."""
        return self._nodes_by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._nodes_by_name

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def value(self, name: str) -> Value:
        """The value called `name`, an input's or a node's. Raises KeyError."""
        if name in self._nodes_by_name:
            return self._nodes_by_name[name].value
        for value in self.inputs:
            if value.name == name:
                return value
        raise KeyError(name)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read the value called `name`, in execution order."""
        return self._consumers.get(name, ())

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        dtype: DTypeLike = "float64",
        taps: Iterable[str] = (),
    ) -> dict[str, Array]:
        """Outputs (and `taps`) of the network, computed by the reference interpreter in `dtype`.

        inputs: one array per graph input, shaped as it but for a batch of any size.
        Raises GraphError when an input is missing, unknown or of another shape.
        """
        from mgn_convert.graph.interpreter import interpret

        return interpret(self, inputs, dtype=np.dtype(dtype), taps=tuple(taps))

    def pruned(self, outputs: Sequence[str] | None = None) -> Graph:
        """The graph without the nodes that no output needs. `outputs` may pick some of the values."""
        wanted = tuple(self.outputs if outputs is None else outputs)
        for name in wanted:
            try:
                self.value(name)
            except KeyError:
                raise GraphError(f"the network {self.name} has no value {name!r}") from None
        needed, kept = set(wanted), []
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
                kept.append(node)
        return Graph(self.name, self.inputs, tuple(reversed(kept)), wanted)

    def parameter_count(self) -> int:
        """Number of weights; an array that several nodes share counts once."""
        arrays = {id(a): a for node in self.nodes for a in node.params.values()}
        return sum(a.size for a in arrays.values())
