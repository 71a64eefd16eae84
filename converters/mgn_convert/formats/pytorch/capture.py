"""From a PyTorch network to a Graph: one walk over the exported program, rule by rule."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from mgn_convert.errors import GraphError, UnsupportedError
from mgn_convert.formats.pytorch.names import origins
from mgn_convert.formats.pytorch.program import (
    CaptureError,
    Program,
    call,
    concrete,
    export,
    prepare,
    resolved,
    shape_of,
    unwrapped,
)
from mgn_convert.formats.pytorch.rules import INDEX_RULES, RULES, Context, Indices, Rule
from mgn_convert.graph import Graph, GraphBuilder, Origin, Shape, Value

_FAILED = object()


class BatchError(UnsupportedError):
    """A network whose operations hold for one batch size only."""


@dataclass(frozen=True)
class Captured:
    """A network as a Graph for batch 1, and the program that it was read from.

    nodes: tensor name -> FX node of the program, in execution order.
    any_batch: whether the program itself runs at every batch.
    """

    graph: Graph
    program: Program
    nodes: dict[str, str]
    any_batch: bool


def capture(
    network: nn.Module | ExportedProgram,
    input_shape: Shape | None = None,
    *,
    output: str | None = None,
    name: str = "network",
) -> Captured:
    """Read a network, in the precision of its weights.

    input_shape: (C, H, W), for a module.  output: the path of the output to keep, None for all.
    Raises UnsupportedError with every call that has no rule.
    """
    if isinstance(network, ExportedProgram):
        return walk(prepare(network, output), name)
    if input_shape is None:
        raise ValueError("capturing a module needs an input shape")
    module = unwrapped(network)
    try:
        return walk(prepare(export(module, input_shape), output), name)
    except (CaptureError, BatchError):
        pass  # some networks take one image at a time
    return walk(prepare(export(module, input_shape, batch=1), output), name)


def walk(program: Program, name: str) -> Captured:
    """Translate every call of the program. Raises BatchError if it only holds for its own batch."""
    walker = _Walker(program, name)
    with torch.no_grad():
        for node in program.module.graph.nodes:
            walker.visit(node)
    walker.raise_refusals()
    results = [walker.output(path, node) for path, node in program.outputs.items()]
    graph = walker.builder.graph(list(dict.fromkeys(results))).pruned()
    nodes = {tensor: node for tensor, node in walker.nodes.items() if tensor in graph}
    return Captured(graph, program, nodes, program.batch > 1)


class _Walker:
    """Builds the graph call by call, and goes on after a refusal so that all of them are found."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.builder = program, GraphBuilder(name)
        self.nodes: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._arrays: dict[int, tuple[Tensor, Any]] = {}
        self._refusals: list[UnsupportedError] = []
        self._batch_refusals: list[UnsupportedError] = []
        self._on_images = dict.fromkeys(_calls_on_images(program))
        self._origins = origins(n for n in self._on_images if _is_first(n))

    def visit(self, node: fx.Node) -> None:
        """Find the value of `node`: of the graph, a constant, or _FAILED."""
        if node.op == "placeholder":
            if node.name == self.program.input:
                value: Any = self.builder.input(node.name, (1, *self.program.input_shape))
            else:
                value = self.program.state.get(node.name)
        elif node.op == "call_function":
            value = self._call(node)
        elif node.op == "get_attr":
            value = getattr(self.program.module, str(node.target))
        else:
            return
        self._values[node.name] = value

    def output(self, path: str, name: str) -> Value:
        """The value of an output. Refuses one that has lost its batch axis."""
        value, node = self._values[name], next(n for n in self.program.module.graph.nodes if n.name == name)
        if not isinstance(value, Value):
            raise UnsupportedError(f"the output {path!r} does not depend on the images", at=name)
        if not value.shape or shape_of(node.meta["val"], self.program.batch)[0] != self.program.batch:
            raise UnsupportedError(
                f"the output {path!r} has no batch axis",
                at=str(self._origins.get(node, name)),
                because="axis 0 of an output holds the images",
                got=f"shape {list(value.shape)} for one image",
                remedy="squeeze(dim=...) instead of squeeze(), flatten(1) instead of flatten()",
            )
        return value

    def raise_refusals(self) -> None:
        """Raise one error that lists everything that could not be translated."""
        refusals = self._refusals or self._batch_refusals
        found = _one_for_each_call(refusals)
        if not found:
            return
        kind = UnsupportedError if self._refusals or self.program.batch == 1 else BatchError
        plural = "calls" if len(found) > 1 else "call"
        raise kind.listing(f"{len(found)} {plural} of {self.builder.name} cannot be read", found)

    def _call(self, node: fx.Node) -> Any:
        args, kwargs = resolved(node, self._values)
        random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        if random and str(node.target) not in RULES:
            reason = self._context(node).refuse("its result is random", "a network in evaluation mode")
            self._refusals.append(reason)
            return _FAILED
        if node not in self._on_images:
            return call(node, args, kwargs)
        if str(node.target) == "aten.sym_size.int":
            return concrete(node.meta["val"], self.program.batch)
        failed = any(x is _FAILED for x in pytree.tree_leaves((args, kwargs)))
        if node.target is operator.getitem:
            return _FAILED if failed else self._part(node, *args)
        if failed and str(node.target) in RULES:
            return _FAILED
        context = self._context(node)
        try:
            return self._translate(context, args, kwargs)
        except (GraphError, BatchError) as error:
            self._batch_refusals.append(error)
        except UnsupportedError as error:
            self._refusals.append(error)
        return self._stand_in(context)

    def _translate(self, c: Context, args: Any, kwargs: Any) -> Any:
        result = self._rule(c, args, kwargs)(c, *args, **kwargs)
        first = result[0] if isinstance(result, tuple) else result
        if isinstance(first, Value):
            self._check(c, first)
            if first is c.result:
                self.nodes[first.name] = _first(c.node).name
        return result

    def _rule(self, c: Context, args: Any, kwargs: Any) -> Rule:
        """The rule of a call. Refuses integers, unless they are indices of which a rule knows the origin."""
        name = str(c.node.target)
        indices = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Indices)]
        if indices and name not in INDEX_RULES:
            raise c.refuse(f"it computes with the indices of {indices[0].call}")
        if indices:
            return INDEX_RULES[name]
        if name not in RULES:
            raise c.refuse("there is no rule for it")
        values = pytree.tree_leaves(c.node.meta["val"])
        if not values[0].dtype.is_floating_point:
            kind = str(values[0].dtype).removeprefix("torch.")
            raise c.refuse(f"its result is {kind}, and values between layers are floating point")
        return RULES[name]

    def _check(self, c: Context, value: Value) -> None:
        """For one image, each axis is as traced or the batch's share of it; one axis holds the batch."""
        batch, traced = self.program.batch, c.out_shape
        spreads = str(c.node.target).startswith(("aten.expand", "aten.repeat"))
        lazy = spreads and value is not c.result
        fits = len(traced) == len(value.shape)
        fits = fits and all(n in (v, v * batch) for n, v in zip(traced, value.shape, strict=True))
        if not lazy and not (fits and math.prod(traced) == batch * math.prod(value.shape)):
            raise BatchError(
                f"{c.node.target} holds for one batch size only",
                at=str(c.origin),
                got=f"{list(value.shape)} for one image, {list(traced)} for {batch}",
            )

    def _part(self, node: fx.Node, source: Any, index: int) -> Any:
        """Result `index` of a call with several, if its rule knows that one."""
        known = source if isinstance(source, tuple) else (source,)
        if index < len(known):
            return known[index]
        call_node: Any = node.args[0]
        c = self._context(call_node)
        which = "result 0 is" if len(known) == 1 else f"results 0 to {len(known) - 1} are"
        self._refusals.append(c.refuse(f"only its {which} known, and result {index} is used"))
        return self._stand_in(self._context(node))

    def _context(self, node: fx.Node) -> Context:
        batch = self.program.batch
        known = [n for n in node.all_input_nodes if isinstance(n.meta.get("val"), Tensor)]
        shapes = [shape_of(n.meta["val"], batch) for n in known]
        result = _first(node)
        value = result.meta.get("val")
        out = shape_of(value, batch) if isinstance(value, Tensor) else ()
        origin = self._origins.get(result) or Origin(node.name)
        return Context(self.builder, batch, node, origin, shapes, out, self._arrays)

    def _stand_in(self, c: Context) -> Any:
        """A value of the right shape, so that what follows a refusal is checked too."""
        if c.out_shape and c.out_shape[0] == c.batch:
            return self.builder.input(f"{c.origin.tensor}.refused", (1, *c.out_shape[1:]))
        return _FAILED


def _calls_on_images(program: Program) -> list[fx.Node]:
    """The calls that depend on the images, in execution order."""
    found: dict[fx.Node, None] = {}
    for node in program.module.graph.nodes:
        if node.name == program.input or any(n in found for n in node.all_input_nodes):
            found[node] = None
    return [node for node in found if node.op == "call_function"]


def _first(node: fx.Node) -> fx.Node:
    """The node of a call's first result that is used: itself, or a getitem of a call with several."""
    if isinstance(node.meta.get("val"), (tuple, list)):
        return min((user for user in node.users if user.target is operator.getitem), key=_index, default=node)
    return node


def _is_first(node: fx.Node) -> bool:
    call_node: Any = node.args[0] if node.target is operator.getitem else node
    return isinstance(node.meta.get("val"), Tensor) and _first(call_node) is node


def _index(node: fx.Node) -> int:
    """Which of a call's results a node is."""
    index: Any = node.args[1] if node.target is operator.getitem else 0
    return int(index)


def _one_for_each_call(refusals: list[UnsupportedError]) -> list[UnsupportedError]:
    """The refusals, with one alone for all the parts that PyTorch took a call apart into."""
    kept: dict[tuple[str, str], UnsupportedError] = {}
    for position, error in enumerate(refusals):
        is_part = error.because.startswith("of aten.")
        line = error.at.partition(" ")[2] if is_part else str(position)
        kept.setdefault((error.what, line), error)
    return list(kept.values())
