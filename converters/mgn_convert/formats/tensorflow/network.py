"""What a writing rule sees: the graph, and where nodes go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mgn_convert.errors import GraphError, UnsupportedError
from mgn_convert.formats.tensorflow.graphdef import Dims, Type, Weight, constant, node_def
from mgn_convert.formats.tensorflow.layout import ANY, keeps, storage, stored
from mgn_convert.graph import Array, Graph, Node
from mgn_convert.graph.builder import with_batch


def legal(name: str) -> str:
    """`name` in the characters that TensorFlow takes."""
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name)


class NetWriter:
    """Collects the nodes of a GraphDef, in execution order.

    Tensors go by the name of the node that makes them, as TensorFlow abbreviates NAME:0. A value of 4 axes is
    N, H, W, C here. Sizes that depend on the batch are -1.
    """

    def __init__(self, graph: Graph, reserved: Iterable[str] = ()) -> None:
        self.graph = graph
        self.items: list[Any] = []
        self._taken: set[str] = {name.lower() for name in reserved}
        self._sizes = _open_sizes(graph)
        self._tensors: dict[str, str] = {}
        self._plain: dict[str, str] = {}
        self._maps: dict[str, str] = {}
        self._weights: dict[tuple[int, tuple[int, ...]], str] = {}
        self._names = {node.name: self.fresh(node.name) for node in graph.nodes}

    def fresh(self, name: str) -> str:
        """`name` in TensorFlow's characters, dots as scopes, and unlike all names given before."""
        scopes = "/".join(scope for scope in legal(name).replace(".", "/").split("/") if scope) or "value"
        base = scopes if scopes[0].isalnum() else f"v{scopes}"
        candidate, count = base, 0
        while candidate.lower() in self._taken:
            count += 1
            candidate = f"{base}_{count}"
        self._taken.add(candidate.lower())
        return candidate

    def name(self, node: Node) -> str:
        """What the node that makes the value of `node` is called."""
        return self._names[node.name]

    def part(self, node: Node, suffix: str) -> str:
        """A name for a node on the way to `node`."""
        return self.fresh(f"{self.name(node)}/{suffix}")

    def sizes(self, value: str) -> tuple[int, ...]:
        """Sizes of a value by the graph's axes, -1 where they depend on the batch."""
        return self._sizes[value]

    # Tensors of values

    def bind(self, value: str, tensor: str) -> None:
        """Let the tensor, in storage order, be the value."""
        self._tensors[value] = tensor

    def tensor(self, value: str) -> str:
        """The tensor of a value, its axes in storage order. A constant is made where it is first read."""
        if value not in self._tensors:
            array = self.graph.node(value).params["value"]
            self.bind(value, self.weight(self._names[value], array, storage(array.ndim)))
        return self._tensors[value]

    def plain(self, value: str) -> str:
        """The tensor of a value, its axes as the graph has them."""
        if value not in self._plain:
            order = storage(len(self.sizes(value)))
            back = [order.index(axis) for axis in range(len(order))]
            tensor, dims = self.tensor(value), stored(self.sizes(value))
            self._plain[value] = self.move(tensor, dims, back, f"{tensor.partition(':')[0]}/nchw")
        return self._plain[value]

    def aligned(self, value: str, rank: int) -> str:
        """The tensor of a value so that it broadcasts with stored values of `rank` axes."""
        sizes = self.sizes(value)
        if rank != 4 or len(sizes) in (0, 4):
            return self.tensor(value)
        if value not in self._maps:
            self._maps[value] = self._as_maps(value, (1,) * (4 - len(sizes)) + sizes)
        return self._maps[value]

    def _as_maps(self, value: str, sizes: Sequence[int]) -> str:
        """The tensor of a value of fewer axes, seen as maps of `sizes`."""
        name = self.fresh(f"{self._names.get(value, value)}/maps")
        if value in self.graph and self.graph.node(value).op == "constant":
            array = self.graph.node(value).params["value"]
            return self.weight(name, array.reshape(sizes), storage(4))
        if keeps(sizes, storage(4)):
            return self.reshape(self.tensor(value), stored(sizes), name, exact=True)
        wide = self.reshape(self.tensor(value), sizes, f"{name}/nchw")
        return self.move(wide, sizes, storage(4), name, exact=True)

    # Nodes

    def add(
        self,
        op: str,
        name: str,
        *inputs: str,
        kind: Type | None = Type.FLOAT,
        exact: bool = False,
        **attrs: Any,
    ) -> str:
        """Add a node and return its first tensor. kind: its attribute T, None for an op without.

        exact: `name` is taken already.
        """
        name = name if exact else self.fresh(name)
        typed = {} if kind is None else {"T": kind}
        self.items.append(node_def(name, op, inputs, **typed, **attrs))
        return name

    def out(
        self, node: Node, op: str, *inputs: str, order: Sequence[int] | None = None, **attrs: Any
    ) -> None:
        """Add the node that makes the value of `node`.

        order: the graph's axes in the order in which the op gives them, where that is not the storage order.
        """
        wanted = storage(len(node.shape))
        order = wanted if order is None else tuple(order)
        if order == wanted:
            self.bind(node.name, self.add(op, self.name(node), *inputs, exact=True, **attrs))
            return
        given = self.add(op, f"{self.name(node)}/nchw", *inputs, **attrs)
        sizes = self.sizes(node.name)
        back = [order.index(axis) for axis in wanted]
        self.bind(node.name, self.move(given, [sizes[a] for a in order], back, self.name(node), exact=True))

    def ints(self, name: str, values: Sequence[int] | Sequence[Sequence[int]] | int) -> str:
        """A constant of whole numbers."""
        return self.small(name, np.array(values, np.int32), Type.INT32)

    def number(self, name: str, value: float, kind: Type = Type.FLOAT) -> str:
        """A constant of one number."""
        return self.small(name, np.array(value, np.float64), kind)

    def small(self, name: str, array: Array, kind: Type = Type.FLOAT) -> str:
        """A constant that stays in the graph in every kind of file."""
        name = self.fresh(name)
        self.items.append(constant(name, array, kind))
        return name

    def weight(self, name: str, array: Array, order: Sequence[int] | None = None) -> str:
        """A trained weight, its axes in `order`; an array that was added before in that order is shared.

        `name` is taken already.
        """
        order = tuple(range(array.ndim)) if order is None else tuple(order)
        if (id(array), order) not in self._weights:
            self.items.append(Weight(name, array, order))
            self._weights[id(array), order] = name
        return self._weights[id(array), order]

    def reshape(self, tensor: str, sizes: Sequence[int], name: str, *, exact: bool = False) -> str:
        """The tensor with other sizes, of which one may be -1."""
        if list(sizes).count(ANY) > 1:
            raise UnsupportedError(
                "a reshape cannot be expressed in tensorflow",
                at=name,
                because="one axis at most may depend on the batch",
                got=str(list(sizes)),
            )
        name = name if exact else self.fresh(name)
        return self.add("Reshape", name, tensor, self.ints(f"{name}/shape", list(sizes)), exact=True)

    def move(
        self, tensor: str, sizes: Sequence[int], order: Sequence[int], name: str, *, exact: bool = False
    ) -> str:
        """A tensor of `sizes`, its axes in `order`: by a Reshape where no value moves in memory."""
        if tuple(order) == tuple(range(len(order))):
            return self.add("Identity", name, tensor, exact=True) if exact else tensor
        moved = [sizes[axis] for axis in order]
        if keeps(sizes, order) and moved.count(ANY) <= 1:
            return self.reshape(tensor, moved, name, exact=exact)
        name = name if exact else self.fresh(name)
        return self.add("Transpose", name, tensor, self.ints(f"{name}/perm", list(order)), exact=True)

    def placeholder(self, name: str, sizes: Sequence[int]) -> str:
        """An input of the file, float32."""
        return self.add(
            "Placeholder", name, kind=None, dtype=Type.FLOAT, shape=Dims(tuple(sizes)), exact=True
        )


def _open_sizes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Value -> sizes, -1 where another batch gives another size; none where the network fixes its batch."""
    values = [*graph.inputs, *(node.value for node in graph.nodes)]
    try:
        other = with_batch(graph, graph.inputs[0].shape[0] + 1)
    except GraphError:
        return {value.name: value.shape for value in values}
    others = [*other.inputs, *(node.value for node in other.nodes)]
    return {
        value.name: tuple(a if a == b else ANY for a, b in zip(value.shape, twin.shape, strict=True))
        for value, twin in zip(values, others, strict=True)
    }
