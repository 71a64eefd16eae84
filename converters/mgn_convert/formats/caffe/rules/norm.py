"""BatchNorm, Scale, Bias, MVN, LRN."""

from __future__ import annotations

from typing import Any

import numpy as np

from mgn_convert.formats.caffe.reader import LayerReader
from mgn_convert.formats.caffe.registry import Dialect, reads, writes
from mgn_convert.formats.caffe.writer import NetWriter
from mgn_convert.graph import Graph, Node, Shape, Value


@reads("BatchNorm")
def read_batch_norm(layer: LayerReader) -> Value:
    """Blobs are mean, variance and the factor both are divided by; a factor of 0 makes both 0."""
    layer.take(1)
    param, x = layer.param("batch_norm_param"), layer.x
    if param.HasField("use_global_stats") and not param.use_global_stats:
        layer.refuse(
            "use_global_stats: false normalises with the statistics of the batch at hand",
            remedy="remove the field: running statistics are the default at test time",
        )
    channels = x.shape[1] if len(x.shape) > 1 else 1
    mean, var, factor = layer.blob(0, (channels,)), layer.blob(1, (channels,)), layer.blob(2, (1,))
    if factor[0] != 1:
        scale = np.float32(0) if factor[0] == 0 else np.float32(1) / factor[0]
        mean, var = mean * scale, var * scale
    return layer.result("batch_norm", x, mean=mean, var=var, eps=param.eps)


@writes("batch_norm", "BatchNorm", "Scale")
def write_batch_norm(net: NetWriter, node: Node) -> None:
    params = node.params
    blobs = [params["mean"], params["var"], np.ones(1, np.float32)]
    param = {"use_global_stats": True, "eps": node.attrs["eps"]}
    if "weight" not in params and "bias" not in params:
        net.layer("BatchNorm", node, blobs=blobs, batch_norm_param=param)
        return
    inner = net.fresh(f"{net.top(node.name)}.norm")
    net.layer("BatchNorm", node, name=inner, tops=[inner], blobs=blobs, batch_norm_param=param)
    _write_scale(net, node, [inner], {})


def _write_scale(net: NetWriter, node: Node, bottoms: list[str], param: dict[str, Any]) -> None:
    weight, bias = node.params.get("weight"), node.params.get("bias")
    if weight is None:
        assert bias is not None
        weight = np.ones(bias.shape, np.float32)
    if bias is not None:
        param = {**param, "bias_term": True}
    net.layer("Scale", node, bottoms=bottoms, blobs=[weight, bias], scale_param=param)


def _spanned(layer: LayerReader, param: Any) -> tuple[int, Shape]:
    """The first axis that Scale and Bias work along, and the shape of their weights."""
    rank = len(layer.x.shape)
    axis = param.axis + rank if param.axis < 0 else param.axis
    stop = rank if param.num_axes == -1 else axis + param.num_axes
    if not (0 <= axis <= stop <= rank):
        layer.refuse("axis and num_axes stay within the bottom", got=f"{param} of {layer.x.shape}")
    return axis, layer.x.shape[axis:stop]


def _along(layer: LayerReader, axis: int) -> Value:
    """The second bottom, shaped so that it broadcasts over the first from `axis` on."""
    x, other = layer.inputs
    if x.shape[axis : axis + len(other.shape)] != other.shape:
        layer.refuse(
            "the second bottom has the shape of the axes it spans", got=f"{x.shape} and {other.shape}"
        )
    after = (1,) * (len(x.shape) - axis - len(other.shape))
    if axis == 0 and not after:
        return other
    spread = (0,) * len(other.shape) if axis == 0 else (*(1,) * axis, *other.shape)
    return layer.step("reshape", other, suffix="spread", shape=(*spread, *after))


@reads("Scale")
def read_scale(layer: LayerReader) -> Value:
    param = layer.param("scale_param")
    if len(layer.inputs) == 1:
        axis, shape = _spanned(layer, param)
        bias = layer.blob(1, shape) if param.bias_term else None
        return layer.result("scale", layer.x, weight=layer.blob(0, shape), bias=bias, axis=axis)
    layer.take(2)
    axis = param.axis + len(layer.x.shape) if param.axis < 0 else param.axis
    other = _along(layer, axis)
    if not param.bias_term:
        return layer.result("mul", layer.x, other)
    product = layer.step("mul", layer.x, other, suffix="product")
    return layer.result("scale", product, bias=layer.blob(0, layer.inputs[1].shape), axis=axis)


@reads("Bias")
def read_bias(layer: LayerReader) -> Value:
    param = layer.param("bias_param")
    if len(layer.inputs) == 1:
        axis, shape = _spanned(layer, param)
        return layer.result("scale", layer.x, bias=layer.blob(0, shape), axis=axis)
    layer.take(2)
    axis = param.axis + len(layer.x.shape) if param.axis < 0 else param.axis
    return layer.result("add", layer.x, _along(layer, axis))


def _scale_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    shapes = {array.shape for array in node.params.values()}
    if len(shapes) > 1:
        return "the weight and the bias of a Scale layer have one shape"
    if shapes == {()}:
        return "readers disagree about a Scale by one number"
    return None


@writes("scale", "Scale", fits=_scale_fits)
def write_scale(net: NetWriter, node: Node) -> None:
    rank, axes = len(node.shape), next(iter(node.params.values())).ndim
    axis = node.attrs["axis"] % rank
    param = {} if axis == 1 else {"axis": axis}
    if axes != 1:
        param["num_axes"] = axes
    _write_scale(net, node, [net.bottom(node.inputs[0])], param)


@reads("MVN")
def read_mvn(layer: LayerReader) -> Value:
    layer.take(1)
    param = layer.param("mvn_param")
    if len(layer.x.shape) != 4:
        layer.refuse("MVN takes 4 axes", got=str(layer.x.shape))
    return layer.result(
        "mvn",
        layer.x,
        eps=param.eps,
        normalize_variance=param.normalize_variance,
        across_channels=param.across_channels,
    )


def _mvn_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    if node.attrs["normalize_variance"] and not dialect["mvn_variance"]:
        return "readers of this dialect disagree whether MVN adds eps inside the root or outside"
    if node.attrs["across_channels"] and not dialect["mvn_across_channels"]:
        return "MVN works on each channel in this dialect"
    return None if len(node.shape) == 4 else "MVN takes 4 axes"


@writes("mvn", "MVN", fits=_mvn_fits)
def write_mvn(net: NetWriter, node: Node) -> None:
    param: dict[str, Any] = {"normalize_variance": node.attrs["normalize_variance"]}
    if node.attrs["across_channels"]:
        param["across_channels"] = True
    if node.attrs["normalize_variance"]:
        param["eps"] = node.attrs["eps"]
    net.layer("MVN", node, mvn_param=param)


@reads("LRN")
def read_lrn(layer: LayerReader) -> Value:
    """x * (k + alpha / n * sum of x^2 over n neighbouring channels) ^ -beta; the sum is a 1x1 convolution."""
    layer.take(1)
    param, x = layer.param("lrn_param"), layer.x
    if param.norm_region != 0 or param.local_size % 2 == 0 or len(x.shape) != 4 or x.shape[1] > 4096:
        layer.refuse("only LRN across an odd number of channels, of at most 4096, has a rule")
    distance = np.abs(np.subtract.outer(np.arange(x.shape[1]), np.arange(x.shape[1])))
    near = (distance <= param.local_size // 2) * np.float32(param.alpha / param.local_size)
    square = layer.step("power", x, suffix="square", power=2.0)
    total = layer.step("conv", square, suffix="sum", weight=near.astype(np.float32)[:, :, None, None])
    factor = layer.step("power", total, suffix="factor", power=-param.beta, shift=param.k)
    return layer.result("mul", x, factor)
