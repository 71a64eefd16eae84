"""Convolutions, linear layers, products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from mgn_convert.formats.onnx.writing.spec import NodeWriter, writes


def _weights(net: NodeWriter) -> list[str]:
    return [net.weight(key, net.params[key]) for key in ("weight", "bias") if key in net.params]


def _window(net: NodeWriter) -> dict[str, Any]:
    high, wide = net.attrs["padding"]
    return {
        "kernel_shape": net.params["weight"].shape[2:],
        "strides": net.attrs["stride"],
        "pads": (high, wide, high, wide),
        "dilations": net.attrs["dilation"],
        "group": net.attrs["groups"],
    }


@writes("conv", "Conv")
def conv(net: NodeWriter) -> None:
    net.result("Conv", net.x, *_weights(net), **_window(net))


@writes("conv_transpose", "ConvTranspose")
def conv_transpose(net: NodeWriter) -> None:
    beyond = net.attrs["output_padding"]
    net.result("ConvTranspose", net.x, *_weights(net), output_padding=beyond, **_window(net))


@writes("linear", "Gemm", "MatMul")
def linear(net: NodeWriter) -> None:
    if len(net.shape()) == 2:
        net.result("Gemm", net.x, *_weights(net), transB=1)
        return
    turned = net.weight("weight", np.ascontiguousarray(net.params["weight"].T))
    if "bias" not in net.params:
        net.result("MatMul", net.x, turned)
        return
    product = net.step("MatMul", net.x, turned, suffix="product")
    net.result("Add", product, net.weight("bias", net.params["bias"]))


@writes("matmul", "MatMul")
def matmul(net: NodeWriter) -> None:
    net.result("MatMul", *net.inputs)
