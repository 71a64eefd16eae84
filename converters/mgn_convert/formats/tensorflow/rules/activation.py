"""Functions of one element, and softmax."""

from __future__ import annotations

import math
from typing import Any

from mgn_convert.formats.tensorflow.graphdef import Type
from mgn_convert.formats.tensorflow.layout import storage
from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.formats.tensorflow.registry import writes
from mgn_convert.formats.tensorflow.rules.norm import constant_at
from mgn_convert.graph import Graph, Node


def _one_op(op: str, kind: str, **attrs: Any) -> None:
    """Let `op` become one node of `kind`, with fixed attributes."""

    @writes(op, kind)
    def write(net: NetWriter, node: Node) -> None:
        net.out(node, kind, net.tensor(node.inputs[0]), **attrs)


for _op, _kind in (
    ("relu", "Relu"),
    ("sigmoid", "Sigmoid"),
    ("tanh", "Tanh"),
    ("softplus", "Softplus"),
    ("abs", "Abs"),
    ("exp", "Exp"),
    ("log", "Log"),
):
    _one_op(_op, _kind)


@writes("leaky_relu", "LeakyRelu")
def write_leaky_relu(net: NetWriter, node: Node) -> None:
    net.out(node, "LeakyRelu", net.tensor(node.inputs[0]), alpha=float(node.attrs["slope"]))


def _below(net: NetWriter, node: Node) -> tuple[str, str]:
    """max(x, 0) and min(x, 0)."""
    x, zero = net.tensor(node.inputs[0]), net.number(net.part(node, "zero"), 0)
    positive = net.add("Relu", net.part(node, "positive"), x, exact=True)
    return positive, net.add("Minimum", net.part(node, "negative"), x, zero, exact=True)


@writes("elu", "Elu", "Relu", "Minimum", "Mul", "AddV2")
def write_elu(net: NetWriter, node: Node) -> None:
    """max(x, 0) + alpha * elu(min(x, 0)); TensorFlow's Elu has an alpha of 1."""
    alpha = float(node.attrs["alpha"])
    if alpha == 1:
        net.out(node, "Elu", net.tensor(node.inputs[0]))
        return
    positive, negative = _below(net, node)
    bent = net.add("Elu", net.part(node, "bent"), negative, exact=True)
    factor = net.number(net.part(node, "alpha"), alpha)
    net.out(node, "AddV2", positive, net.add("Mul", net.part(node, "weighted"), bent, factor, exact=True))


@writes("prelu", "Relu", "Minimum", "Mul", "AddV2")
def write_prelu(net: NetWriter, node: Node) -> None:
    """max(x, 0) + weight * min(x, 0), of which one term is 0."""
    positive, negative = _below(net, node)
    slope = constant_at(net, node, "weight", node.params["weight"], 1)
    net.out(node, "AddV2", positive, net.add("Mul", net.part(node, "weighted"), negative, slope, exact=True))


@writes("threshold", "Greater", "Cast")
def write_threshold(net: NetWriter, node: Node) -> None:
    limit = net.number(net.part(node, "threshold"), node.attrs["threshold"])
    above = net.add("Greater", net.part(node, "above"), net.tensor(node.inputs[0]), limit, exact=True)
    net.out(node, "Cast", above, kind=None, SrcT=Type.BOOL, DstT=Type.FLOAT)


@writes("clip", "Maximum", "Minimum")
def write_clip(net: NetWriter, node: Node) -> None:
    """An infinite bound is no bound."""
    bounds = (("Maximum", "min"), ("Minimum", "max"))
    given = [(op, node.attrs[key]) for op, key in bounds if node.attrs[key] is not None]
    steps = [(op, net.number(net.part(node, op.lower()), v)) for op, v in given if math.isfinite(v)]
    x = net.tensor(node.inputs[0])
    for op, limit in steps[:-1]:
        x = net.add(op, net.part(node, "raised"), x, limit, exact=True)
    if steps:
        net.out(node, steps[-1][0], x, steps[-1][1])
    else:
        net.out(node, "Identity", x)


_POWERS = {0.5: ("Sqrt",), -0.5: ("Sqrt", "Reciprocal"), 1.0: (), -1.0: ("Reciprocal",), 2.0: ("Square",)}


@writes("power", "Mul", "AddV2", "Pow", "Square", "Sqrt", "Reciprocal")
def write_power(net: NetWriter, node: Node) -> None:
    """(shift + scale * x) ** power, without what does nothing."""
    power, scale, shift = (float(node.attrs[key]) for key in ("power", "scale", "shift"))
    steps: list[tuple[str, float | None]] = []
    if scale != 1:
        steps.append(("Mul", scale))
    if shift:
        steps.append(("AddV2", shift))
    steps += [(op, None) for op in _POWERS[power]] if power in _POWERS else [("Pow", power)]
    x = net.tensor(node.inputs[0])
    for i, (op, value) in enumerate(steps or [("Identity", None)]):
        inputs = [x] if value is None else [x, net.number(net.part(node, f"{op.lower()}/y"), value)]
        if i < len(steps) - 1:
            x = net.add(op, net.part(node, op.lower()), *inputs, exact=True)
        else:
            net.out(node, op, *inputs)


def _gelu_fits(graph: Graph, node: Node) -> str | None:
    return "TensorFlow has no op for the tanh form" if node.attrs["approximate"] == "tanh" else None


@writes("gelu", "Erf", "Mul", "AddV2", fits=_gelu_fits)
def write_gelu(net: NetWriter, node: Node) -> None:
    """(0.5 x) (1 + erf(x / sqrt 2))."""
    x = net.tensor(node.inputs[0])
    root, half, one = (
        net.number(net.part(node, name), value)
        for name, value in (("root", math.sqrt(0.5)), ("half", 0.5), ("one", 1.0))
    )
    small = net.add("Mul", net.part(node, "argument"), x, root, exact=True)
    bend = net.add("Erf", net.part(node, "erf"), small, exact=True)
    gate = net.add("AddV2", net.part(node, "gate"), bend, one, exact=True)
    halved = net.add("Mul", net.part(node, "halved"), x, half, exact=True)
    net.out(node, "Mul", halved, gate)


@writes("softmax", "Softmax")
def write_softmax(net: NetWriter, node: Node) -> None:
    """Softmax is over the last axis, which in a map is that of the channels."""
    rank = len(node.shape)
    axis, order = node.attrs["axis"] % rank, list(storage(rank))
    x = net.tensor(node.inputs[0])
    if order[-1] == axis:
        net.out(node, "Softmax", x)
        return
    turned = [*(a for a in order if a != axis), axis]
    sizes = net.sizes(node.name)
    moves = [order.index(a) for a in turned]
    x = net.move(x, [sizes[a] for a in order], moves, net.part(node, "last"), exact=True)
    net.out(node, "Softmax", x, order=turned)
