"""[sum], [multiply], [divide], [maximum] and [matmul]: the layer before with another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import mapped, paired
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.activation import activation_steps
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Shape, Value

_SECTIONS = {"add": "sum", "sub": "sum", "mul": "multiply", "div": "divide", "maximum": "maximum"}


def _read(r: Reading, s: Section, op: str, factors: tuple[float, float] = (1, 1)) -> Value:
    """An axis of one cell on either side goes with every cell of the other."""
    values = [r.previous, r.source]
    if {len(v.shape) for v in values} != {2}:
        values = [r.map(v) for v in values]
    scaled = [v if f == 1 else r.add("power", v, scale=f) for v, f in zip(values, factors, strict=True)]
    acts = activation_steps(s, "linear")
    if not acts:
        return r.result(op, *scaled)
    return r.chain(r.add(op, *scaled), *acts)


@reads("sum")
def read_sum(r: Reading, s: Section) -> Value:
    """scale * before + scale_from * from."""
    first, second = s.number("scale", 1), s.number("scale_from", 1)
    return _read(r, s, "sub", (first, 1)) if second == -1 else _read(r, s, "add", (first, second))


@reads("multiply")
def read_multiply(r: Reading, s: Section) -> Value:
    """before * from."""
    return _read(r, s, "mul")


@reads("divide")
def read_divide(r: Reading, s: Section) -> Value:
    """before / from."""
    return _read(r, s, "div")


@reads("maximum")
def read_maximum(r: Reading, s: Section) -> Value:
    """The larger of both."""
    return _read(r, s, "maximum")


@reads("matmul")
def read_matmul(r: Reading, s: Section) -> Value:
    """C matrices of H x W each; the switches exchange H and W."""
    values = [r.map(), r.map(r.source)]
    turned = [
        r.add("permute", v, order=(0, 1, 3, 2)) if s.switch(key) else v
        for key, v in zip(("transpose", "transpose_from"), values, strict=True)
    ]
    return r.result("matmul", *turned)


def same_shapes(graph: Graph, node: Node) -> bool:
    """Whether both inputs have the same shape."""
    return len({graph.value(name).shape for name in node.inputs}) == 1


def lacks_pair(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    """Why two values cannot be broadcast with each other in one section, or None."""
    if same_shapes(graph, node) or paired([graph.value(name).shape for name in node.inputs]):
        return None
    return "layers broadcast along channels, height and width, and these values have other axes"


@writes("mul", lacks=lacks_pair, sections=("multiply",), own=True)
@writes("div", lacks=lacks_pair, sections=("divide",), own=True)
@writes("maximum", lacks=lacks_pair, sections=("maximum",), own=True)
def write_pair(w: Writing, unit: Unit) -> None:
    """Layers of one shape as they are, for values of one shape; others in shapes that broadcast."""
    node = unit.head
    first, second = node.inputs
    if same_shapes(w.graph, node):
        same = w.shape(first) == w.shape(second) and len(w.shape(first)) == 3
        views = [w.shape(first) if same else mapped(node.shape)] * 2
    else:
        found = paired([w.graph.value(name).shape for name in node.inputs])
        assert found is not None
        views = found
    of = w.layer(second, views[1])
    w.use(first, views[0])
    options: dict[str, Any] = {"from": of}
    if node.op == "sub":
        options["scale_from"] = -1
    shape: Shape = tuple(map(max, *views))
    w.section(_SECTIONS[node.op], unit, {**options, **unit.activation}, shape=shape)


def _lacks_matmul(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    a, b = (graph.value(name).shape for name in node.inputs)
    if len(a) < 3 or len(a) != len(b):
        return "a [matmul] multiplies matrices of each image, (N, ..., M, K) by (N, ..., K, P)"
    if a[1:-2] != b[1:-2] and 1 not in (mapped(a)[0], mapped(b)[0]):
        return "a [matmul] has as many matrices on both sides, or one on one of them"
    return None


@writes("matmul", lacks=_lacks_matmul, sections=("matmul",), own=True)
def write_matmul(w: Writing, unit: Unit) -> None:
    """Axes between the batch and the matrices become channels."""
    node = unit.head
    first, second = node.inputs
    of = w.layer(second, mapped(w.graph.value(second).shape))
    w.use(first, mapped(w.graph.value(first).shape))
    w.section("matmul", unit, {"from": of}, shape=mapped(node.shape))
