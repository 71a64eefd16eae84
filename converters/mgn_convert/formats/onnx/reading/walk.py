"""From node to node of a file: constants are computed, everything else goes through its rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from mgn_convert.errors import FileFormatError, GraphError, UnsupportedError
from mgn_convert.formats.onnx.model import DEFAULT_DOMAINS, Model, title
from mgn_convert.formats.onnx.reading import folding, registry, spec
from mgn_convert.formats.onnx.reading.finishing import cut_before_turning, renamed
from mgn_convert.formats.provenance import Provenance
from mgn_convert.graph import Graph, GraphBuilder, Origin, Shape, Value, with_batch

_MARKERS = (1009, 1013)
_DAMAGE = (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError, MemoryError)
"""What a rule raises over numbers that make no sense, such as a list of sizes that is empty."""


@dataclass(frozen=True)
class Walk:
    """What is to be read of a file.

    nodes: those that `outputs` need, in execution order.
    image, shape: the name of the input, and what it takes of one image.
    fixed: how many images it takes; None if any number.
    """

    model: Model
    nodes: tuple[onnx.NodeProto, ...]
    image: str
    shape: Shape
    fixed: int | None
    outputs: tuple[str, ...]
    provenance: Provenance

    def graph(self) -> Graph:
        """The network for one image.

        It is read for two numbers of images that no file has as a size. What comes out for both alike holds
        for every number; else a constant was computed from it.
        """
        registry.load_rules()
        first, second = (self._read(batch) for batch in _MARKERS)
        if not _equal(first, second):
            raise UnsupportedError(
                f"{self.model.source} cannot be read",
                because="its arithmetic depends on the number of images",
            )
        return first

    def _read(self, batch: int) -> Graph:
        builder = GraphBuilder(self.model.name)
        reading = spec.Reading(
            builder, self.model.opset, batch, self.fixed, self._readers, frozenset(self.outputs)
        )
        image = builder.input(self.provenance.input or self.image, (batch, *self.shape))
        values: dict[str, registry.Operand] = {**self.model.constants, self.image: image, "": None}
        refusals: list[UnsupportedError] = []
        refused: set[str] = set()
        for node in self.nodes:
            try:
                if refused.isdisjoint(node.input):
                    values.update(self._results(node, values, reading))
                    continue
                self._know(node)
            except UnsupportedError as error:
                refusals.append(error)
            refused.update(filter(None, node.output))
        if refusals:
            raise UnsupportedError.listing(f"{len(refusals)} nodes cannot be read", refusals)
        found = {name: self._output(name, values[name], batch) for name in self._ordered}
        graph = builder.graph(list(dict.fromkeys(found.values()))).pruned()
        return self._for_one(renamed(graph, self._copied(found)), batch)

    def _for_one(self, graph: Graph, batch: int) -> Graph:
        try:
            return with_batch(cut_before_turning(graph, batch), 1)
        except GraphError as error:
            raise UnsupportedError(
                f"{self.model.source} cannot be read",
                at=error.at,
                because=f"it does not hold for one image: {error.what}",
                got=error.got,
            ) from None

    def _results(
        self, node: onnx.NodeProto, values: Mapping[str, registry.Operand], reading: spec.Reading
    ) -> dict[str, registry.Operand]:
        """What one node makes, by names. Raises FileFormatError where its numbers make no sense."""
        inputs = tuple(values[name] for name in node.input)
        reader = spec.NodeReader(node, inputs, self._names(node), reading)
        try:
            found: registry.Result
            if folding.foldable(node, inputs):
                found = folding.evaluate(node, inputs, self.model, self._origin(node))
            else:
                self._know(node)
                folding.check(node, self.model, self._origin(node))
                found = _rule(reader)(reader)
        except GraphError as error:
            raise self._misfit(reader, error.because or error.what, error.got) from error
        except _DAMAGE as error:
            raise self._misfit(reader, f"{type(error).__name__}: {error}") from error
        results = found if isinstance(found, tuple) else (found,)
        made = {**dict.fromkeys(node.output), **dict(zip(node.output, results, strict=False))}
        for name in filter(None, node.output):
            if made[name] is None and (name in reading.readers or name in reading.kept):
                raise reader.refuse(f"there is no rule for its result {name!r}")
        return made

    def _misfit(self, reader: spec.NodeReader, rule: str, got: str = "") -> FileFormatError:
        shapes = [reader.text(x.shape) for x in reader.inputs if isinstance(x, (Value, np.ndarray))]
        return FileFormatError(
            f"the node {title(reader.node)} does not fit its operands",
            at=str(self._origin(reader.node)),
            because=rule,
            got=got or ", ".join(shapes),
        )

    def _know(self, node: onnx.NodeProto) -> None:
        """Raise UnsupportedError unless there is a rule for nodes of this type."""
        known = node.op_type in registry.RULES or any(
            name == node.op_type for name, _ in registry.PENDING_RULES
        )
        if node.domain in DEFAULT_DOMAINS and known:
            return
        where = "" if node.domain in DEFAULT_DOMAINS else f" of {node.domain}"
        raise UnsupportedError(
            f"the node {title(node)} cannot be read",
            at=str(self._origin(node)),
            because=f"there is no rule for {node.op_type or '(no type)'}{where}",
            remedy='a network without it, or add a rule: CONTRIBUTING.md, "Add an op"',
        )

    def _output(self, name: str, value: registry.Operand, batch: int) -> Value:
        if isinstance(value, Value) and value.shape[:1] == (batch,):
            return value
        computed = isinstance(value, Value)
        raise UnsupportedError(
            f"the output {name!r} cannot be read",
            at=self.model.source,
            because="axis 0 does not hold the images" if computed else "it is not computed from the image",
            remedy="--output with the name of another",
        )

    def _names(self, node: onnx.NodeProto) -> tuple[tuple[str, Origin], ...]:
        indices = range(max(1, len(node.output)))
        origins = [self._origin(node, i) for i in indices]
        return tuple(
            (self.provenance.value(name), origin)
            for name, origin in zip(node.output or [""], origins, strict=True)
        )

    def _origin(self, node: onnx.NodeProto, index: int = 0) -> Origin:
        name = node.output[index] if index < len(node.output) else ""
        return self.provenance.origin(name, Origin(name, node.name, self.model.source))

    def _copied(self, outputs: Mapping[str, Value]) -> dict[str, tuple[str, Origin]]:
        """What to call the nodes whose result is an output by way of mere copies, unless a record says it."""
        if self.provenance.origins is not None:
            return {}
        makers = {name: node.name for node in self.nodes for name in node.output}
        own = {value.name for name, value in outputs.items() if value.name == name}
        return {
            value.name: (name, Origin(name, makers.get(name, ""), self.model.source))
            for name, value in [*outputs.items()][::-1]
            if value.name not in own
        }

    @property
    def _ordered(self) -> list[str]:
        return self.provenance.ordered(self.outputs)

    @cached_property
    def _readers(self) -> dict[str, list[onnx.NodeProto]]:
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found


def _rule(reader: spec.NodeReader) -> registry.Rule:
    """The rule for a node and its operands. Raises UnsupportedError where there is none."""
    kind = reader.node.op_type
    for operand in reader.inputs:
        if isinstance(operand, registry.Pending):
            if (kind, type(operand)) not in registry.PENDING_RULES:
                raise reader.refuse(f"there is no rule for what it does with the result of {operand.made_by}")
            return registry.PENDING_RULES[kind, type(operand)]
    if kind not in registry.RULES:
        raise reader.refuse("there is no rule for its operands")
    return registry.RULES[kind]


def _equal(first: Graph, second: Graph) -> bool:
    if len(first.nodes) != len(second.nodes) or first.outputs != second.outputs:
        return False
    for a, b in zip(first.nodes, second.nodes, strict=True):
        if (a.op, a.inputs, a.value, dict(a.attrs)) != (b.op, b.inputs, b.value, dict(b.attrs)):
            return False
        if a.params.keys() != b.params.keys():
            return False
        for key, array in a.params.items():
            if array is not b.params[key] and not np.array_equal(array, b.params[key], equal_nan=True):
                return False
    return True
