"""What a writing rule is, and what it may use.

    @writes("relu", "Relu")
    def relu(net: NodeWriter) -> None:
        net.result("Relu", *net.inputs)

`net.result` adds the ONNX node that computes the neutral node's value, under its name; `net.step` one on the
way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from onnx import NodeProto, helper

from mgn_convert.formats import import_all
from mgn_convert.graph import Array, Graph, Node

Write = Callable[["NodeWriter"], None]


@dataclass(frozen=True)
class WriteRule:
    """How one op is written, and as which ONNX operators."""

    operators: tuple[str, ...]
    write: Write


_RULES: dict[str, WriteRule] = {}


def writes(op: str, *operators: str) -> Callable[[Write], Write]:
    """Register the decorated function as the writer of `op`, which it writes as these operators."""

    def register(rule: Write) -> Write:
        _RULES[op] = WriteRule(operators, rule)
        return rule

    return register


def rules() -> Mapping[str, WriteRule]:
    """Every writing rule by op."""
    import_all(__package__)
    return _RULES


@dataclass(frozen=True, eq=False)
class Weight:
    """An array, and the type that it is written as; it is converted as it goes out."""

    array: Array
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return int(self.array.size) * self.dtype.itemsize


class ModelNodes:
    """The nodes and weights of a model in the making. Every value has a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, Weight] = {}
        self._taken: set[str] = set()

    def fresh(self, name: str) -> str:
        """`name`, or `name_1`, ... if it is taken."""
        candidate, count = name, 0
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate

    def add(self, operator: str, inputs: tuple[str, ...], *outputs: str, doc: str = "", **attrs: Any) -> str:
        """Add a node, called as its first output. Returns that output."""
        node = helper.make_node(operator, inputs, outputs, name=outputs[0], **attrs)
        node.doc_string = doc
        self.nodes.append(node)
        return outputs[0]

    def weight(self, name: str, array: Array, dtype: DTypeLike = np.float32) -> str:
        """Add a weight, which is written as `dtype`."""
        name = self.fresh(name)
        self.weights[name] = Weight(array, np.dtype(dtype).newbyteorder("<"))
        return name

    def constant(self, name: str, array: Array) -> None:
        """Add a weight under a name that is its own already."""
        self.weights[name] = Weight(array, np.dtype("<f4"))

    def whole(self, name: str, *numbers: int) -> str:
        """Add a vector of whole numbers."""
        return self.weight(name, np.array(numbers, np.int64), np.int64)


class NodeWriter:
    """What a rule sees: one neutral node, the names of its inputs, and where ONNX nodes go."""

    def __init__(self, model: ModelNodes, graph: Graph, node: Node, names: Mapping[str, str]) -> None:
        self.model, self.graph, self.node = model, graph, node
        self.inputs = tuple(names[name] for name in node.inputs)
        self.name = names[node.name]
        self._doc = str(node.origin)

    @property
    def x(self) -> str:
        """The first input."""
        return self.inputs[0]

    @property
    def attrs(self) -> Mapping[str, Any]:
        return self.node.attrs

    @property
    def params(self) -> Mapping[str, Array]:
        return self.node.params

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of input `index`, for a batch of one."""
        return self.graph.value(self.node.inputs[index]).shape

    def result(self, operator: str, *inputs: str, **attrs: Any) -> None:
        """Add the ONNX node that computes the neutral node's value."""
        self.model.add(operator, inputs, self.name, doc=self._doc, **attrs)

    def step(self, operator: str, *inputs: str, suffix: str, outputs: int = 1, **attrs: Any) -> str:
        """Add an ONNX node on the way, called after the node and `suffix`. Returns its last output."""
        names = [self.model.fresh(f"{self.name}/{suffix}") for _ in range(outputs)]
        self.model.add(operator, inputs, *names, doc=self._doc, **attrs)
        return names[-1]

    def weight(self, suffix: str, array: Array) -> str:
        """Add a weight, called after the neutral node and `suffix`."""
        return self.model.weight(f"{self.name}.{suffix}", array)

    def number(self, suffix: str, value: float) -> str:
        """Add one number, as float32."""
        return self.weight(suffix, np.array(value, np.float32))

    def whole(self, suffix: str, *numbers: int) -> str:
        """Add a vector of whole numbers."""
        return self.model.whole(f"{self.name}.{suffix}", *numbers)
