"""Arithmetic between values, values moved about, cut and joined, and reductions."""

from __future__ import annotations

from mgn_convert.formats.onnx.writing.spec import NodeWriter, writes

_BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "maximum": "Max"}
for _op, _operator in _BINARY.items():
    writes(_op, _operator)(lambda net, operator=_operator: net.result(operator, *net.inputs))  # type: ignore[misc]

_REDUCTIONS = {
    "mean": "ReduceMean",
    "sum": "ReduceSum",
    "max": "ReduceMax",
    "asum": "ReduceL1",
    "sumsq": "ReduceSumSquare",
}


@writes("reduce", *_REDUCTIONS.values())
def reduce(net: NodeWriter) -> None:
    axes = net.whole("axes", *net.attrs["axes"])
    net.result(_REDUCTIONS[net.attrs["kind"]], net.x, axes, keepdims=int(net.attrs["keepdims"]))


@writes("concat", "Concat")
def concat(net: NodeWriter) -> None:
    net.result("Concat", *net.inputs, axis=net.attrs["axis"])


@writes("reshape", "Reshape")
def reshape(net: NodeWriter) -> None:
    net.result("Reshape", net.x, net.whole("shape", *net.attrs["shape"]))


@writes("permute", "Transpose")
def permute(net: NodeWriter) -> None:
    net.result("Transpose", net.x, perm=net.attrs["order"])


@writes("slice", "Slice")
def cut(net: NodeWriter) -> None:
    ends = [net.whole(key, net.attrs[key]) for key in ("start", "stop", "axis")]
    net.result("Slice", net.x, *ends)


@writes("pad", "Pad")
def pad(net: NodeWriter) -> None:
    top, left, bottom, right = net.attrs["padding"]
    around = net.whole("pads", 0, 0, top, left, 0, 0, bottom, right)
    net.result("Pad", net.x, around, net.number("value", net.attrs["value"]))


@writes("constant", "initializer")
def constant(net: NodeWriter) -> None:
    net.model.constant(net.name, net.params["value"])
