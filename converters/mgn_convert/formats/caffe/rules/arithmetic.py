"""Eltwise and arithmetic between values."""

from __future__ import annotations

from mgn_convert.formats.caffe.reader import LayerReader
from mgn_convert.formats.caffe.registry import Dialect, reads, writes
from mgn_convert.formats.caffe.writer import NetWriter
from mgn_convert.graph import Graph, Node, Shape, Value

_PROD, _SUM, _MAX = 0, 1, 2
_OPS = {_PROD: "mul", _SUM: "add", _MAX: "maximum"}


@reads("Eltwise")
def read_eltwise(layer: LayerReader) -> Value:
    param, terms = layer.param("eltwise_param"), list(layer.inputs)
    coeffs = list(param.coeff) or [1.0] * len(terms)
    if len(terms) < 2 or len({term.shape for term in terms}) != 1:
        layer.refuse("it takes two bottoms or more, of one shape", got=str([t.shape for t in terms]))
    if len(coeffs) != len(terms) or (param.coeff and param.operation != _SUM):
        layer.refuse("coefficients belong to SUM, one for each bottom", got=str(coeffs))
    if coeffs == [1.0, -1.0]:
        return layer.result("sub", *terms)
    for i, coeff in enumerate(coeffs):
        if coeff != 1:
            terms[i] = layer.step("power", terms[i], suffix=f"term{i}", scale=coeff)
    op, total = _OPS[param.operation], terms[0]
    for i, term in enumerate(terms[1:-1], 1):
        total = layer.step(op, total, term, suffix=f"part{i}")
    return layer.result(op, total, terms[-1])


def run_of(shape: Shape, other: Shape) -> tuple[int, int] | None:
    """The axes of `shape` that `other` spans, if they are neighbours and begin with the batch: (0, stop).

    `other` broadcasts over the rest, where it has size 1. None if it cannot be the second bottom of a Scale.
    """
    if len(other) != len(shape) or other[0] != shape[0]:
        return None
    stop = len(shape)
    while stop > 1 and other[stop - 1] == 1:
        stop -= 1
    return (0, stop) if other[:stop] == shape[:stop] else None


def same_shape_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    """None when Eltwise can take the node's inputs."""
    if any(graph.value(name).shape != node.shape for name in node.inputs):
        return "the bottoms of Eltwise have one shape"
    return None


def _mul_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    reason = same_shape_fits(graph, node, dialect)
    if reason is None:
        return None
    whole, part = _whole_and_part(graph, node)
    if graph.value(whole).shape == node.shape and run_of(node.shape, graph.value(part).shape):
        return None
    return "the second bottom of Scale spans neighbouring axes from the batch on"


def _whole_and_part(graph: Graph, node: Node) -> tuple[str, str]:
    first, second = node.inputs
    return (first, second) if graph.value(first).shape == node.shape else (second, first)


def _eltwise(op: str, operation: int, coeff: list[float] | None = None) -> None:
    def write(net: NetWriter, node: Node) -> None:
        param = {"operation": operation, **({"coeff": coeff} if coeff else {})}
        net.layer("Eltwise", node, eltwise_param=param)

    writes(op, "Eltwise", fits=same_shape_fits)(write)


_eltwise("add", _SUM)
_eltwise("sub", _SUM, [1.0, -1.0])
_eltwise("maximum", _MAX)


@writes("mul", "Eltwise", "Scale", fits=_mul_fits)
def write_mul(net: NetWriter, node: Node) -> None:
    """Eltwise PROD of equal shapes; (N, C, H, W) times (N, C, 1, 1) is a Scale with two bottoms."""
    whole, part = _whole_and_part(net.graph, node)
    shape = net.graph.value(part).shape
    if shape == node.shape:
        net.layer("Eltwise", node, eltwise_param={"operation": _PROD})
        return
    run = run_of(node.shape, shape)
    assert run is not None
    factor = net.bottom(part)
    if run[1] < len(shape):
        narrow = net.fresh(f"{net.top(node.name)}.factor")
        dims = [*[0] * (run[1] - 1), -1]
        net.layer(
            "Reshape",
            node,
            name=narrow,
            bottoms=[factor],
            tops=[narrow],
            reshape_param={"shape": {"dim": dims}},
        )
        factor = narrow
    net.layer("Scale", node, bottoms=[net.bottom(whole), factor], scale_param={"axis": 0})


@reads("MatMul")
def read_matmul(layer: LayerReader) -> Value:
    """OpenCV's, which it takes from its other importers: products of the last two axes."""
    layer.take(2)
    return layer.result("matmul", *layer.inputs)


def _matmul_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    a, b = (graph.value(name).shape for name in node.inputs)
    fits = len(a) > 2 and a[:-2] == b[:-2]
    return None if fits else "MatMul multiplies matrices with the same leading axes, the batch among them"


@writes("matmul", "MatMul", fits=_matmul_fits)
def write_matmul(net: NetWriter, node: Node) -> None:
    net.layer("MatMul", node)
