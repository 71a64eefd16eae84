"""Arithmetic between values, and constants."""

from __future__ import annotations

from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.formats.tensorflow.registry import writes
from mgn_convert.graph import Node


def _binary(op: str, kind: str) -> None:
    @writes(op, kind)
    def write(net: NetWriter, node: Node) -> None:
        net.out(node, kind, *(net.aligned(name, len(node.shape)) for name in node.inputs))


for _op, _kind in (
    ("add", "AddV2"),
    ("sub", "Sub"),
    ("mul", "Mul"),
    ("div", "RealDiv"),
    ("maximum", "Maximum"),
):
    _binary(_op, _kind)


@writes("matmul", "BatchMatMulV2", "MatMul")
def write_matmul(net: NetWriter, node: Node) -> None:
    flat = all(len(net.sizes(name)) == 2 for name in node.inputs)
    matrices = (net.plain(name) for name in node.inputs)
    net.out(node, "MatMul" if flat else "BatchMatMulV2", *matrices, order=range(len(node.shape)))


@writes("constant", "Const")
def write_constant(net: NetWriter, node: Node) -> None:
    """Nothing here: see `NetWriter.tensor`."""
