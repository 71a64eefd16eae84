"""Normalisation and per-channel arithmetic."""

from __future__ import annotations

import numpy as np

from mgn_convert.formats.onnx.writing.spec import NodeWriter, writes
from mgn_convert.graph import Array


def _gamma_beta(net: NodeWriter, channels: int) -> tuple[str, str]:
    weight = net.params.get("weight", np.ones(channels, np.float32))
    bias = net.params.get("bias", np.zeros(channels, np.float32))
    return net.weight("weight", weight), net.weight("bias", bias)


@writes("batch_norm", "BatchNormalization")
def batch_norm(net: NodeWriter) -> None:
    statistics = [net.weight(f"running_{key}", net.params[key]) for key in ("mean", "var")]
    gamma, beta = _gamma_beta(net, net.shape()[1])
    net.result("BatchNormalization", net.x, gamma, beta, *statistics, epsilon=float(net.attrs["eps"]))


@writes("instance_norm", "ReduceMean", "Sub", "InstanceNormalization")
def instance_norm(net: NodeWriter) -> None:
    """The mean is taken away beforehand: onnxruntime computes x * s - mean * s, which loses the digits of a
    map that is nearly constant. With a mean of zero nothing is lost.
    """
    gamma, beta = _gamma_beta(net, net.shape()[1])
    mean = net.step("ReduceMean", net.x, net.whole("axes", 2, 3), suffix="mean", keepdims=1)
    centred = net.step("Sub", net.x, mean, suffix="centred")
    net.result("InstanceNormalization", centred, gamma, beta, epsilon=float(net.attrs["eps"]))


@writes("mvn", "ReduceMean", "Sub", "Mul", "Sqrt", "Add", "Div")
def mvn(net: NodeWriter) -> None:
    """c = x - mean(x); c / (sqrt(mean(c^2)) + eps)"""
    first = 1 if net.attrs["across_channels"] else 2
    axes = net.whole("axes", *range(first, len(net.shape())))
    mean = net.step("ReduceMean", net.x, axes, suffix="mean", keepdims=1)
    if not net.attrs["normalize_variance"]:
        net.result("Sub", net.x, mean)
        return
    centred = net.step("Sub", net.x, mean, suffix="centred")
    square = net.step("Mul", centred, centred, suffix="square")
    variance = net.step("ReduceMean", square, axes, suffix="variance", keepdims=1)
    deviation = net.step("Sqrt", variance, suffix="deviation")
    net.result(
        "Div", centred, net.step("Add", deviation, net.number("eps", net.attrs["eps"]), suffix="divisor")
    )


@writes("scale", "Mul", "Add")
def scale(net: NodeWriter) -> None:
    rank = len(net.shape())

    def spread(array: Array) -> Array:
        trailing = rank - net.attrs["axis"] % rank - array.ndim if array.ndim else 0
        return array.reshape(array.shape + (1,) * trailing)

    todo = [(op, key) for op, key in (("Mul", "weight"), ("Add", "bias")) if key in net.params]
    x = net.x
    for op, key in todo[:-1]:
        x = net.step(op, x, net.weight(key, spread(net.params[key])), suffix="weighted")
    op, key = todo[-1]
    net.result(op, x, net.weight(key, spread(net.params[key])))
