"""Functions of one element, and Softmax."""

from __future__ import annotations

import math

from mgn_convert.formats.caffe.reader import LayerReader
from mgn_convert.formats.caffe.registry import reads, writes
from mgn_convert.formats.caffe.writer import NetWriter
from mgn_convert.graph import Node, Value

_PLAIN = {"Sigmoid": "sigmoid", "TanH": "tanh", "AbsVal": "abs", "BNLL": "softplus"}


def _plain(kind: str, op: str) -> None:
    def read(layer: LayerReader) -> Value:
        layer.take(1)
        return layer.result(op, layer.x)

    reads(kind)(read)
    writes(op, kind)(lambda net, node: net.layer(kind, node))


for _kind, _op in _PLAIN.items():
    _plain(_kind, _op)


@reads("ReLU")
def read_relu(layer: LayerReader) -> Value:
    layer.take(1)
    slope = layer.param("relu_param").negative_slope
    return layer.result("leaky_relu", layer.x, slope=slope) if slope else layer.result("relu", layer.x)


@writes("relu", "ReLU")
def write_relu(net: NetWriter, node: Node) -> None:
    net.layer("ReLU", node)


@writes("leaky_relu", "ReLU")
def write_leaky_relu(net: NetWriter, node: Node) -> None:
    net.layer("ReLU", node, relu_param={"negative_slope": node.attrs["slope"]})


@reads("PReLU")
def read_prelu(layer: LayerReader) -> Value:
    layer.take(1)
    shape = () if layer.param("prelu_param").channel_shared else layer.x.shape[1:2]
    return layer.result("prelu", layer.x, weight=layer.blob(0, shape))


@writes("prelu", "PReLU")
def write_prelu(net: NetWriter, node: Node) -> None:
    weight = node.params["weight"]
    net.layer("PReLU", node, blobs=[weight], prelu_param={} if weight.ndim else {"channel_shared": True})


@reads("ELU")
def read_elu(layer: LayerReader) -> Value:
    layer.take(1)
    return layer.result("elu", layer.x, alpha=layer.param("elu_param").alpha)


@writes("elu", "ELU")
def write_elu(net: NetWriter, node: Node) -> None:
    net.layer("ELU", node, elu_param={"alpha": node.attrs["alpha"]})


@reads("Exp")
def read_exp(layer: LayerReader) -> Value:
    """base ^ (shift + scale * x) = exp(ln base * (shift + scale * x)); base -1 stands for e."""
    layer.take(1)
    param = layer.param("exp_param")
    base = 1.0 if param.base == -1 else math.log(param.base) if param.base > 0 else math.nan
    if math.isnan(base):
        layer.refuse("the base is positive, or -1 for e", got=str(param.base))
    if base == 1 and param.scale == 1 and param.shift == 0:
        return layer.result("exp", layer.x)
    inner = layer.step(
        "power", layer.x, suffix="exponent", scale=param.scale * base, shift=param.shift * base
    )
    return layer.result("exp", inner)


@writes("exp", "Exp")
def write_exp(net: NetWriter, node: Node) -> None:
    net.layer("Exp", node)


@reads("Log")
def read_log(layer: LayerReader) -> Value:
    """log(shift + scale * x) / ln base; base -1 stands for e."""
    layer.take(1)
    param, x = layer.param("log_param"), layer.x
    if param.base != -1 and (param.base <= 0 or param.base == 1):
        layer.refuse("the base is positive and not 1, or -1 for e", got=str(param.base))
    if (param.scale, param.shift) != (1, 0):
        x = layer.step("power", x, suffix="affine", scale=param.scale, shift=param.shift)
    if param.base == -1:
        return layer.result("log", x)
    natural = layer.step("log", x, suffix="ln")
    return layer.result("power", natural, scale=1 / math.log(param.base))


@writes("log", "Log")
def write_log(net: NetWriter, node: Node) -> None:
    net.layer("Log", node)


@reads("Power")
def read_power(layer: LayerReader) -> Value:
    layer.take(1)
    param = layer.param("power_param")
    return layer.result("power", layer.x, power=param.power, scale=param.scale, shift=param.shift)


@writes("power", "Power")
def write_power(net: NetWriter, node: Node) -> None:
    defaults = {"power": 1.0, "scale": 1.0, "shift": 0.0}
    param = {k: node.attrs[k] for k, default in defaults.items() if node.attrs[k] != default}
    net.layer("Power", node, power_param=param)


@reads("Swish")
def read_swish(layer: LayerReader) -> Value:
    """x * sigmoid(beta * x)."""
    layer.take(1)
    beta, gate = layer.param("swish_param").beta, layer.x
    if beta != 1:
        gate = layer.step("power", gate, suffix="scaled", scale=beta)
    return layer.result("mul", layer.x, layer.step("sigmoid", gate, suffix="gate"))


@reads("Clip")
def read_clip(layer: LayerReader) -> Value:
    layer.take(1)
    param = layer.param("clip_param")
    return layer.result("clip", layer.x, min=param.min, max=param.max)


@writes("clip", "Clip")
def write_clip(net: NetWriter, node: Node) -> None:
    net.layer("Clip", node, clip_param={"min": node.attrs["min"], "max": node.attrs["max"]})


@reads("Threshold")
def read_threshold(layer: LayerReader) -> Value:
    layer.take(1)
    return layer.result("threshold", layer.x, threshold=layer.param("threshold_param").threshold)


@writes("threshold", "Threshold")
def write_threshold(net: NetWriter, node: Node) -> None:
    net.layer("Threshold", node, threshold_param={"threshold": node.attrs["threshold"]})


@reads("Softmax")
def read_softmax(layer: LayerReader) -> Value:
    layer.take(1)
    return layer.result("softmax", layer.x, axis=layer.param("softmax_param").axis)


@writes("softmax", "Softmax")
def write_softmax(net: NetWriter, node: Node) -> None:
    axis = node.attrs["axis"] % len(node.shape)
    net.layer("Softmax", node, softmax_param={} if axis == 1 else {"axis": axis})


@reads("ArgMax")
def read_argmax(layer: LayerReader) -> Value:
    layer.refuse(
        "its top holds positions, not features",
        remedy="let the network end before the ArgMax layer, and take the largest value outside",
    )
