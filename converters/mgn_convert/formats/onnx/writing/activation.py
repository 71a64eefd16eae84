"""Functions of one element, and softmax."""

from __future__ import annotations

import math

from mgn_convert.formats.onnx.writing.spec import NodeWriter, writes

_SAME = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softplus": "Softplus",
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
}
for _op, _operator in _SAME.items():
    writes(_op, _operator)(lambda net, operator=_operator: net.result(operator, net.x))  # type: ignore[misc]


@writes("leaky_relu", "LeakyRelu")
def leaky_relu(net: NodeWriter) -> None:
    net.result("LeakyRelu", net.x, alpha=float(net.attrs["slope"]))


@writes("elu", "Elu")
def elu(net: NodeWriter) -> None:
    net.result("Elu", net.x, alpha=float(net.attrs["alpha"]))


@writes("prelu", "PRelu")
def prelu(net: NodeWriter) -> None:
    slope = net.params["weight"]
    if slope.ndim:
        slope = slope.reshape(-1, *[1] * (len(net.shape()) - 2))
    net.result("PRelu", net.x, net.weight("weight", slope))


@writes("gelu", "Erf", "Tanh", "Mul", "Add")
def gelu(net: NodeWriter) -> None:
    """x/2 (1 + erf(x / sqrt(2))), or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    x = net.x
    if net.attrs["approximate"] == "tanh":
        square = net.step("Mul", x, x, suffix="square")
        cube = net.step("Mul", square, x, suffix="cube")
        bent = net.step("Mul", cube, net.number("cubic", 0.044715), suffix="bent")
        inner = net.step("Add", x, bent, suffix="inner")
        wide = net.step("Mul", inner, net.number("root", math.sqrt(2 / math.pi)), suffix="wide")
        curve = net.step("Tanh", wide, suffix="tanh")
    else:
        narrow = net.step("Mul", x, net.number("root", math.sqrt(0.5)), suffix="narrow")
        curve = net.step("Erf", narrow, suffix="erf")
    above = net.step("Add", curve, net.number("one", 1.0), suffix="above")
    half = net.step("Mul", x, net.number("half", 0.5), suffix="halved")
    net.result("Mul", half, above)


@writes("power", "Mul", "Add", "Pow", "Sqrt", "Reciprocal", "Identity")
def power(net: NodeWriter) -> None:
    """(shift + scale * x) ** power; what does nothing is left out."""
    x, exponent = net.x, float(net.attrs["power"])
    links: list[tuple[str, tuple[str, ...]]] = []
    if net.attrs["scale"] != 1:
        links.append(("Mul", (net.number("scale", net.attrs["scale"]),)))
    if net.attrs["shift"] != 0:
        links.append(("Add", (net.number("shift", net.attrs["shift"]),)))
    roots = {0.5: ["Sqrt"], -0.5: ["Sqrt", "Reciprocal"], -1.0: ["Reciprocal"]}
    if exponent in roots:
        links += [(operator, ()) for operator in roots[exponent]]
    elif exponent != 1:
        links.append(("Pow", (net.number("power", exponent),)))
    for operator, others in links[:-1]:
        x = net.step(operator, x, *others, suffix=operator.lower())
    operator, others = links[-1] if links else ("Identity", ())
    net.result(operator, x, *others)


@writes("clip", "Clip")
def clip(net: NodeWriter) -> None:
    low, high = float(net.attrs["min"]), float(net.attrs["max"])
    ends = [
        net.number(key, value) if math.isfinite(value) else "" for key, value in (("min", low), ("max", high))
    ]
    net.result("Clip", net.x, *ends)


@writes("threshold", "Greater", "Cast")
def threshold(net: NodeWriter) -> None:
    above = net.step("Greater", net.x, net.number("threshold", net.attrs["threshold"]), suffix="above")
    net.result("Cast", above, to=1)


@writes("softmax", "Softmax")
def softmax(net: NodeWriter) -> None:
    net.result("Softmax", net.x, axis=net.attrs["axis"])
