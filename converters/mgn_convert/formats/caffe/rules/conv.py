"""Convolution, Deconvolution, InnerProduct."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mgn_convert.formats.caffe.reader import LayerReader
from mgn_convert.formats.caffe.registry import Dialect, reads, writes
from mgn_convert.formats.caffe.writer import NetWriter
from mgn_convert.graph import Graph, Node, Value


def pair(param: Any, name: str, both: str, default: int | None) -> tuple[int, int] | None:
    """A size as (height, width) from NAME_h and NAME_w, or from `both`, which holds one number or two."""
    high, wide = f"{name}_h", f"{name}_w"
    if param.HasField(high) or param.HasField(wide):
        return getattr(param, high), getattr(param, wide)
    given = getattr(param, both)
    values = list(given) if not isinstance(given, int) else [given] if param.HasField(both) else []
    if len(values) > 2:
        return None
    values = values or ([] if default is None else [default])
    return (values[0], values[-1]) if values else None


def spread(name: str, both: str, value: Sequence[int], default: int | None = None) -> dict[str, int]:
    """The inverse of `pair`: one number where height and width agree; nothing for the default."""
    high, wide = value
    if high == wide:
        return {} if high == default else {both: int(high)}
    return {f"{name}_h": int(high), f"{name}_w": int(wide)}


@reads("Convolution", "Deconvolution", "ConvolutionDepthwise", "DepthwiseConvolution")
def read_conv(layer: LayerReader) -> Value:
    layer.take(1)
    param, x = layer.param("convolution_param"), layer.x
    kernel, stride = pair(param, "kernel", "kernel_size", None), pair(param, "stride", "stride", 1)
    padding, dilation = pair(param, "pad", "pad", 0), [*param.dilation, *param.dilation[-1:], 1, 1][:2]
    if len(x.shape) != 4 or param.axis not in (1, -3):
        layer.refuse(
            "a convolution here is over the last two of four axes", got=f"axis {param.axis} of {x.shape}"
        )
    if not (kernel and stride and padding and len(param.dilation) <= 2 and param.num_output):
        layer.refuse("a convolution has num_output, and one or two sizes each for kernel, stride and pad")
    transposed = layer.layer.type == "Deconvolution"
    groups = x.shape[1] if "Depthwise" in layer.layer.type else param.group
    if groups < 1 or min(*kernel, *stride, *dilation) < 1 or x.shape[1] % groups or param.num_output % groups:
        layer.refuse(
            "sizes are positive and groups divide the channels", got=f"{x.shape[1]} channels, {param}"
        )
    ends = (x.shape[1], param.num_output) if transposed else (param.num_output, x.shape[1])
    weight = layer.blob(0, (ends[0], ends[1] // groups, *kernel))
    bias = layer.blob(1, (param.num_output,)) if param.bias_term else None
    return layer.result(
        "conv_transpose" if transposed else "conv",
        x,
        weight=weight,
        bias=bias,
        stride=stride,
        padding=padding,
        dilation=tuple(dilation),
        groups=groups,
    )


def _write(net: NetWriter, node: Node, kind: str, outputs: int) -> None:
    weight, bias, attrs = node.params["weight"], node.params.get("bias"), node.attrs
    param: dict[str, Any] = {"num_output": outputs}
    if bias is None:
        param["bias_term"] = False
    param |= spread("pad", "pad", attrs["padding"], 0)
    param |= spread("kernel", "kernel_size", weight.shape[2:])
    if attrs["groups"] != 1:
        param["group"] = int(attrs["groups"])
    param |= spread("stride", "stride", attrs["stride"], 1)
    if tuple(attrs["dilation"]) != (1, 1):
        param["dilation"] = [int(d) for d in dict.fromkeys(attrs["dilation"])]
    net.layer(kind, node, blobs=[weight, bias], convolution_param=param)


@writes("conv", "Convolution")
def write_conv(net: NetWriter, node: Node) -> None:
    _write(net, node, "Convolution", node.params["weight"].shape[0])


def _transpose_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    if tuple(node.attrs["output_padding"]) != (0, 0):
        return "Deconvolution has no output padding"
    if tuple(node.attrs["dilation"]) != (1, 1) and not dialect["deconvolution_dilation"]:
        return "a reader of this dialect ignores the dilation of Deconvolution"
    is_cell = node.params["weight"].shape[2:] == (1, 1) and tuple(node.attrs["stride"]) == (1, 1)
    if is_cell and any(node.attrs["padding"]):
        return "OpenCV writes beyond the map of a 1x1 Deconvolution with padding"
    return None


@writes("conv_transpose", "Deconvolution", fits=_transpose_fits)
def write_conv_transpose(net: NetWriter, node: Node) -> None:
    _write(net, node, "Deconvolution", node.params["weight"].shape[1] * node.attrs["groups"])


@reads("InnerProduct")
def read_inner_product(layer: LayerReader) -> Value:
    layer.take(1)
    param, x = layer.param("inner_product_param"), layer.x
    axis = param.axis + len(x.shape) if param.axis < 0 else param.axis
    if not 0 <= axis < len(x.shape):
        layer.refuse("axis is one of the bottom's", got=f"axis {param.axis} of {x.shape}")
    width, count = math.prod(x.shape[axis:]), param.num_output
    weight = layer.blob(0, (width, count)).T if param.transpose else layer.blob(0, (count, width))
    bias = layer.blob(1, (count,)) if param.bias_term else None
    if axis != len(x.shape) - 1:
        x = layer.step("reshape", x, suffix="flat", shape=(*(0,) * axis, -1))
    return layer.result("linear", x, weight=weight, bias=bias)


def _linear_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    return "InnerProduct keeps the batch axis" if len(node.shape) < 2 else None


@writes("linear", "InnerProduct", fits=_linear_fits)
def write_linear(net: NetWriter, node: Node) -> None:
    weight, bias, axis = node.params["weight"], node.params.get("bias"), len(node.shape) - 1
    param: dict[str, Any] = {"num_output": weight.shape[0]}
    if bias is None:
        param["bias_term"] = False
    if axis != 1:
        param["axis"] = axis
    net.layer("InnerProduct", node, blobs=[weight, bias], inner_product_param=param)
