"""Convolution and its transpose. Padding is an attribute of both; grouped kernels are those of Conv2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.formats.tensorflow.registry import writes
from mgn_convert.graph import Graph, Node

KERNEL = (2, 3, 1, 0)
"""(out, in, kh, kw) as (kh, kw, in, out)."""


def on_maps(pair: Sequence[int]) -> list[int]:
    """A number each for height and width, as TensorFlow wants one per axis of N, H, W, C."""
    return [1, int(pair[0]), int(pair[1]), 1]


def around(top: int, left: int, bottom: int, right: int) -> dict[str, Any]:
    """Padding as an attribute."""
    if not any((top, left, bottom, right)):
        return {"padding": "VALID"}
    return {"padding": "EXPLICIT", "explicit_paddings": [0, 0, top, bottom, left, right, 0, 0]}


def _geometry(node: Node) -> dict[str, Any]:
    """stride, padding and dilation of a node as attributes."""
    high, wide = node.attrs["padding"]
    return {
        "strides": on_maps(node.attrs["stride"]),
        "dilations": on_maps(node.attrs["dilation"]),
        "data_format": "NHWC",
        **around(high, wide, high, wide),
    }


def _finish(net: NetWriter, node: Node, op: str, *inputs: str, **attrs: Any) -> None:
    """The op, and the bias where there is one."""
    bias = node.params.get("bias")
    if bias is None:
        net.out(node, op, *inputs, **attrs)
        return
    sums = net.add(op, net.part(node, "products"), *inputs, exact=True, **attrs)
    net.out(node, "BiasAdd", sums, net.weight(net.part(node, "bias"), bias), data_format="NHWC")


@writes("conv", "Conv2D", "DepthwiseConv2dNative", "BiasAdd")
def write_conv(net: NetWriter, node: Node) -> None:
    weight, groups, attrs = node.params["weight"], node.attrs["groups"], node.attrs
    x, name = net.tensor(node.inputs[0]), net.part(node, "weight")
    alone = groups > 1 and weight.shape[1] == 1
    # Without oneDNN, DepthwiseConv2dNative takes equal strides and no dilation; Conv2D takes groups anyway.
    if alone and attrs["stride"][0] == attrs["stride"][1] and tuple(attrs["dilation"]) == (1, 1):
        split = weight.reshape(groups, -1, *weight.shape[2:])
        kernel = net.weight(name, split, (*KERNEL[:2], 0, 1))
        _finish(net, node, "DepthwiseConv2dNative", x, kernel, **_geometry(node))
        return
    _finish(net, node, "Conv2D", x, net.weight(name, weight, KERNEL), **_geometry(node))


def _transpose_fits(graph: Graph, node: Node) -> str | None:
    if tuple(node.attrs["dilation"]) != (1, 1):
        return "Conv2DBackpropInput has no dilation on CPUs"
    if any(
        extra >= step for extra, step in zip(node.attrs["output_padding"], node.attrs["stride"], strict=True)
    ):
        return "Conv2DBackpropInput takes output padding below the stride"
    return None


@writes("conv_transpose", "Conv2DBackpropInput", "BiasAdd", fits=_transpose_fits)
def write_conv_transpose(net: NetWriter, node: Node) -> None:
    """Conv2DBackpropInput is the transpose of Conv2D; without groups, so each group has its own."""
    weight, groups = node.params["weight"], node.attrs["groups"]
    size = net.ints(net.part(node, "size"), node.shape[2:])
    x, geometry = net.tensor(node.inputs[0]), _geometry(node)
    if groups == 1:
        kernel = net.weight(net.part(node, "weight"), weight, KERNEL)
        _finish(net, node, "Conv2DBackpropInput", size, kernel, x, **geometry)
        return
    axis = net.ints(net.part(node, "channels"), 3)
    parts = net.add("Split", net.part(node, "split"), axis, x, num_split=int(groups), exact=True)
    sums = []
    for i, filters in enumerate(np.split(weight, groups)):
        kernel = net.weight(net.part(node, f"weight{i}"), filters, KERNEL)
        part = f"{parts}:{i}" if i else parts
        name = net.part(node, f"group{i}")
        sums.append(net.add("Conv2DBackpropInput", name, size, kernel, part, exact=True, **geometry))
    _finish(net, node, "ConcatV2", *sums, axis, N=len(sums))


@writes("linear", "MatMul", "BiasAdd")
def write_linear(net: NetWriter, node: Node) -> None:
    weight, bias = node.params["weight"], node.params.get("bias")
    x, sizes = net.plain(node.inputs[0]), net.sizes(node.name)
    flat = len(sizes) == 2
    if not flat:
        x = net.reshape(x, (-1, weight.shape[1]), net.part(node, "rows"), exact=True)
    kernel = net.weight(net.part(node, "weight"), weight)
    ops: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [("MatMul", (kernel,), {"transpose_b": True})]
    if bias is not None:
        ops.append(("BiasAdd", (net.weight(net.part(node, "bias"), bias),), {}))
    if not flat:
        ops.append(("Reshape", (net.ints(net.part(node, "shape"), sizes),), {}))
    for op, others, attrs in ops[:-1]:
        x = net.add(op, net.part(node, op.lower()), x, *others, exact=True, **attrs)
    op, others, attrs = ops[-1]
    net.out(node, op, x, *others, order=range(len(sizes)), **attrs)
