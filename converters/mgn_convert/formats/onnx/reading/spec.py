"""What a reading rule is, and what it may use.

    @reads("Relu")
    def relu(c: NodeReader) -> Value:
        return c.add("relu", c.x)

An operand of a node is a Value where it depends on the images, a NumPy array where it does not, and None
where the node leaves it out. A rule returns the Value of the result, or a tuple with one for each result, or
raises `c.refuse(reason)`. Nodes whose operands are all arrays never reach a rule: they are evaluated.

A `Pending` is neither: integers that a node chose by the images, or a part of a formula that means something
as a whole only. It is seen by no rule but those that name its class: `@reads("Add", given=ErfTerm)`.

Values are read for a batch of `batch` images, a prime that no file has as a size: an axis whose size is a
multiple of it holds the images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats.onnx.model import attributes_of, title
from mgn_convert.formats.onnx.reading.registry import Operand
from mgn_convert.graph import Array, GraphBuilder, Origin, Shape, Value
from mgn_convert.graph.batch import batch_free

_IMAGES_FIRST = {
    "conv",
    "conv_transpose",
    "max_pool",
    "avg_pool",
    "pad",
    "instance_norm",
    "batch_norm",
    "prelu",
    "max_unpool",
    "top_channels",
}


@dataclass(frozen=True)
class Made:
    """A node as it was added: `fields` are its attributes and weights, as far as given."""

    op: str
    inputs: tuple[Value, ...]
    fields: Mapping[str, Any]


@dataclass
class Reading:
    """What the nodes of one network share.

    batch: the size that stands for the images. fixed: how many images the file is made for, None if any.
    readers: value -> the nodes that read it. kept: values that are outputs of the network.
    """

    builder: GraphBuilder
    opset: int
    batch: int
    fixed: int | None
    readers: Mapping[str, list[onnx.NodeProto]] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    made: dict[str, Made] = field(default_factory=dict)


@dataclass
class NodeReader:
    """The node that a rule reads, and the graph that it adds to.

    names: what the graph calls each result, and where it comes from.
    """

    node: onnx.NodeProto
    inputs: tuple[Operand, ...]
    names: tuple[tuple[str, Origin], ...]
    reading: Reading

    @cached_property
    def attributes(self) -> dict[str, Any]:
        return attributes_of(self.node)

    @property
    def opset(self) -> int:
        return self.reading.opset

    @property
    def batch(self) -> int:
        return self.reading.batch

    @property
    def x(self) -> Value:
        """The first operand, which must depend on the images."""
        return self.value_at(0)

    def given(self, index: int) -> Operand:
        """Operand `index`, None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def value_at(self, index: int) -> Value:
        """Operand `index` as a Value. Refuses a constant."""
        found = self.given(index)
        if isinstance(found, Value):
            return found
        raise self.refuse(f"its operand {index} does not depend on the image")

    def array(self, index: int) -> Array | None:
        """Operand `index` as a constant, None where it is left out. Refuses a Value."""
        found = self.given(index)
        if found is None or isinstance(found, np.ndarray):
            return found
        raise self.refuse(f"its operand {index} is computed from the image, and a constant is needed")

    def weight(self, index: int) -> Array:
        """As `array`, for an operand that the node cannot do without."""
        found = self.array(index)
        if found is None:
            raise self.refuse(f"it lacks its operand {index}")
        return found

    def integers(self, name: str, index: int | None = None) -> tuple[int, ...] | None:
        """The integers of an attribute or, in newer opsets, of operand `index`; None without either."""
        if name in self.attributes:
            found = self.attributes[name]
            return tuple(int(n) for n in (found if isinstance(found, (list, tuple)) else [found]))
        found = None if index is None else self.array(index)
        return None if found is None else tuple(int(n) for n in found.reshape(-1))

    def sizes(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """The integers of an attribute, as many as `default` has."""
        found = self.integers(name)
        if found is None:
            return default
        if len(found) != len(default):
            raise self.refuse(f"{name} has {len(found)} numbers, and {len(default)} are needed")
        return found

    def add(self, op: str, *inputs: Value, output: int = 0, **fields: Any) -> Value:
        """The neutral node that computes the result `output`, under its name."""
        name, origin = self.names[output]
        unique = self.reading.builder.unique(name)
        if unique != name:
            origin = replace(origin, tensor="")
        return self._built(op, inputs, unique, origin, fields)

    def step(self, op: str, *inputs: Value, suffix: str = "", **fields: Any) -> Value:
        """A neutral node on the way to the results. The file has no value that corresponds to it."""
        name, origin = self.names[0]
        return self._built(op, inputs, f"{name}.{suffix or op}", replace(origin, tensor=""), fields)

    def _built(
        self, op: str, inputs: tuple[Value, ...], name: str, origin: Origin, fields: dict[str, Any]
    ) -> Value:
        if op in _IMAGES_FIRST and any(self.images(x) != 0 for x in inputs):
            raise self.refuse("axis 0 of its operand does not hold the images of the batch")
        value = self.reading.builder.add(op, *inputs, name=name, origin=origin, **fields)
        of_images = any(self.images(x) is not None for x in inputs)
        if of_images and sum(n % self.batch == 0 for n in value.shape) != 1:
            raise self.mixes()
        self.reading.made[value.name] = Made(op, inputs, fields)
        return value

    def maker(self, x: Value) -> Made | None:
        """The node that computes x, None for the network's input."""
        return self.reading.made.get(x.name)

    def alone(self, index: int) -> bool:
        """Whether this node is all that needs its operand `index`."""
        name = self.node.input[index]
        return len(self.reading.readers.get(name, ())) == 1 and name not in self.reading.kept

    def only_read_by(self, *types: str) -> bool:
        """Whether all that read the first result are nodes of these types."""
        name = self.node.output[0]
        users = self.reading.readers.get(name, [])
        return name not in self.reading.kept and all(user.op_type in types for user in users)

    def images(self, x: Value) -> int | None:
        """The axis that holds the images, alone or together with others."""
        return next((i for i, n in enumerate(x.shape) if n % self.batch == 0), None)

    def axis(self, axis: int, x: Value) -> int:
        """`axis` of x, non-negative. Refuses one that holds the images."""
        rank = len(x.shape)
        if not -rank <= axis < rank:
            raise self.refuse(f"it has the axis {axis}, and its operand has {rank} axes")
        if axis % rank == self.images(x):
            raise self.mixes()
        return axis % rank

    def alike(self, array: Array, axis: int) -> Array:
        """A constant that is the same for each image, cut down to one of them along `axis`."""
        count = array.shape[axis]
        if count == 1 or (count % self.batch and count != self.reading.fixed):
            return array
        first = array.take([0], axis)
        if array.strides[axis] and not np.array_equal(np.broadcast_to(first, array.shape), array):
            raise self.refuse("a constant of it differs from image to image")
        return first

    def constant(self, array: Array, suffix: str = "constant") -> Value:
        """A constant as a node; numbers of any type become float32."""
        return self.step("constant", value=np.asarray(array, np.float32), suffix=suffix)

    def reshaped(self, x: Value, shape: Shape, *, suffix: str = "") -> Value:
        """x in another shape, for any batch; the node's result unless a suffix makes it a step.

        Refuses a shape in which the numbers of one image are no longer side by side along an axis of images.
        """
        before, after = self.images(x), next((i for i, n in enumerate(shape) if n % self.batch == 0), None)
        if math.prod(shape) != math.prod(x.shape) or before is None or after is None:
            raise self.refuse(f"{self.text(x.shape)} does not become {self.text(shape)}")
        merged = x.shape[before] // self.batch
        if merged * math.prod(x.shape[:before]) % math.prod(shape[:after]):
            raise self.mixes()
        if merged * math.prod(x.shape[before + 1 :]) % math.prod(shape[after + 1 :]):
            raise self.mixes()
        pattern = batch_free(x.shape, shape, self.batch)
        if suffix:
            return self.step("reshape", x, shape=pattern, suffix=suffix)
        return self.add("reshape", x, shape=pattern)

    def planes(self, x: Value) -> Value:
        """x, if it is of maps (N, C, H, W)."""
        if len(x.shape) != 4:
            raise self.refuse("only maps (N, C, H, W) are known here")
        return x

    def mixes(self) -> UnsupportedError:
        """The refusal of what does not leave the images of a batch apart."""
        return self.refuse("it mixes or picks the images of a batch")

    def refuse(self, reason: str, remedy: str = "") -> UnsupportedError:
        """The error to raise when the neutral ops cannot express the node."""
        shapes = [self.text(x.shape) for x in self.inputs if isinstance(x, (Value, np.ndarray))]
        return UnsupportedError(
            f"the node {title(self.node)} cannot be read",
            at=str(self.names[0][1]),
            because=reason,
            got=", ".join(shapes),
            remedy=remedy or 'a network without it, or add a rule: CONTRIBUTING.md, "Add an op"',
        )

    def text(self, shape: Shape) -> str:
        """A shape for people, the images as N."""
        names = ["N" if n == self.batch else str(n) for n in shape]
        return "x".join(names) or "one number"


def number(x: Operand) -> float | None:
    """The one number that a constant holds, else None."""
    return float(x.reshape(-1)[0]) if isinstance(x, np.ndarray) and x.size == 1 else None
