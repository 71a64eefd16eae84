"""What a rule is, and what it may use.

    @rule("aten.relu.default")
    def relu(c: Context, x: Value) -> Value:
        return c.add("relu", x)

A rule takes the arguments of the ATen call: a Value for what depends on the images, a torch.Tensor for
weights and everything computed from them alone, and Python numbers. It returns the Value of the result, or
raises `c.refuse(reason)`. A call with several results has a tuple, one for each that is known.

Indices are no numbers of the graph: a call that makes them returns an `Indices`, which says where they come
from, and only the rules registered by `@index_rule` ever see it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, fx

from mgn_convert.errors import UnsupportedError
from mgn_convert.graph import Array, GraphBuilder, Origin, Shape, Value
from mgn_convert.graph.batch import batch_free

Rule = Callable[..., "Value | Tensor | Indices | tuple[Value | Indices | None, ...]"]
Translator = TypeVar("Translator", bound=Rule)
RULES: dict[str, Rule] = {}
INDEX_RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class Indices:
    """Integers that a call chose by the images. `call` names it in messages."""

    call: str


def rule(*targets: str) -> Callable[[Translator], Translator]:
    """Register the decorated function for ATen calls such as "aten.relu.default"."""
    return _registering(RULES, targets)


def index_rule(*targets: str) -> Callable[[Translator], Translator]:
    """Register the decorated function for ATen calls that have `Indices` among their arguments."""
    return _registering(INDEX_RULES, targets)


def _registering(registry: dict[str, Rule], targets: tuple[str, ...]) -> Callable[[Translator], Translator]:
    def register(function: Translator) -> Translator:
        for target in targets:
            registry[target] = function
        return function

    return register


@dataclass
class Context:
    """The call that a rule translates, and the graph that it adds to.

    batch: axis 0 in the traced shapes `in_shapes` and `out_shape`; the graph itself is built for one image.
    """

    builder: GraphBuilder
    batch: int
    node: fx.Node
    origin: Origin
    in_shapes: Sequence[Shape]
    out_shape: Shape
    arrays: dict[int, tuple[Tensor, Array]] = field(default_factory=dict)
    result: Value | None = None

    def add(self, op: str, *inputs: Value, **fields: Any) -> Value:
        """The neutral node that computes the call's result; tensors among `fields` become arrays."""
        name = self.builder.unique(self.origin.tensor)
        origin = replace(self.origin, tensor=name)
        self.result = self.builder.add(op, *inputs, name=name, origin=origin, **self._arrays(fields))
        return self.result

    def step(self, op: str, *inputs: Value, **fields: Any) -> Value:
        """A neutral node on the way to the result. PyTorch has no tensor that corresponds to it."""
        origin = Origin("", self.origin.module, self.origin.source)
        name = f"{self.origin.tensor}.{op}"
        return self.builder.add(op, *inputs, name=name, origin=origin, **self._arrays(fields))

    def value(self, x: Value | Tensor) -> Value:
        """`x`, made a node if it is a constant."""
        return self.step("constant", value=x) if isinstance(x, Tensor) else x

    def reshape(self, x: Value) -> Value:
        """`x` in the shape of the call's result, for any batch."""
        return self.add("reshape", x, shape=batch_free(self.in_shapes[0], self.out_shape, self.batch))

    def axis(self, axis: int, index: int = 0) -> int:
        """`axis` of input `index`, non-negative. Refuses the batch axis."""
        shape = self.in_shapes[index]
        found = axis % len(shape)
        if found == 0 and shape[0] == self.batch:
            raise self.refuse("it mixes or picks the images of a batch")
        return found

    def refuse(self, reason: str, remedy: str = "") -> UnsupportedError:
        """The error to raise when the neutral ops cannot express the call."""
        shapes = ", ".join(self._text(shape) for shape in self.in_shapes)
        call, part = self._written_call(), str(self.node.target)
        return UnsupportedError(
            f"{call} cannot be read",
            at=str(self.origin),
            because=reason if call == part else f"of {part}, which it is made of: {reason}",
            got=f"{shapes} -> {self._text(self.out_shape)}",
            remedy=remedy or 'a network without it, or add a rule: CONTRIBUTING.md, "Add an op"',
        )

    def _written_call(self) -> str:
        """The call as it was before PyTorch took it apart, which is the one to write a rule for."""
        sources = self.node.meta.get("from_node") or []
        target = str(sources[-1].target) if sources else ""
        return target if target.startswith("aten.") else str(self.node.target)

    def _arrays(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {k: self._array(v) if isinstance(v, Tensor) else v for k, v in fields.items()}

    def _array(self, tensor: Tensor) -> Array:
        """A view of the tensor's memory; the same array for the same tensor."""
        if id(tensor) not in self.arrays:
            self.arrays[id(tensor)] = (tensor, tensor.detach().numpy())
        return self.arrays[id(tensor)][1]

    def _text(self, shape: Shape) -> str:
        if shape and shape[0] == self.batch:
            return "x".join(["N", *map(str, shape[1:])])
        return "x".join(map(str, shape)) or "scalar"


def pair(given: Any) -> tuple[int, int]:
    """(h, w) of a size that ATen gives as one number or two."""
    numbers = [int(n) for n in given] if isinstance(given, (list, tuple)) else [int(given)]
    return (numbers[0], numbers[-1])


def number(x: Any) -> float | None:
    """The Python number that `x` is or holds, else None."""
    if isinstance(x, Tensor):
        return float(x) if x.numel() == 1 else None
    return float(x) if isinstance(x, (int, float)) and not isinstance(x, bool) else None


def floating(x: Tensor) -> Tensor:
    """`x` as floating point numbers."""
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())
