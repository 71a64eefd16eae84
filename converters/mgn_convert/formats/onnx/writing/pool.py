"""Pooling. Windows that round down; only the padding that a window reaches is written."""

from __future__ import annotations

import math

from mgn_convert.formats.onnx.writing.spec import NodeWriter, writes
from mgn_convert.passes.expansions.pool import reach


@writes("max_pool", "MaxPool")
def max_pool(net: NodeWriter) -> None:
    top, left, _, _ = net.attrs["padding"]
    net.result(
        "MaxPool",
        net.x,
        kernel_shape=net.attrs["kernel"],
        strides=net.attrs["stride"],
        pads=(top, left, *reach(net.node, net.shape())),
    )


@writes("avg_pool", "AveragePool", "Pad", "Mul")
def avg_pool(net: NodeWriter) -> None:
    """The operator counts either all padding or none; where the overhang alone is not to count, zeros are
    padded first. A divisor of its own: the mean over whole windows times their size, over the divisor.
    """
    top, left, bottom, right = net.attrs["padding"]
    ends, divisor, x = reach(net.node, net.shape()), net.attrs["divisor"], net.x
    window = {"kernel_shape": net.attrs["kernel"], "strides": net.attrs["stride"]}
    pads = (top, left, *ends)
    if divisor:
        mean = net.step("AveragePool", x, suffix="mean", pads=pads, count_include_pad=1, **window)
        net.result("Mul", mean, net.number("ratio", math.prod(net.attrs["kernel"]) / divisor))
        return
    counted = (min(ends[0], bottom), min(ends[1], right))
    if net.attrs["count_include_pad"] and counted != ends and any((top, left, *counted)):
        around = net.whole("pads", 0, 0, top, left, 0, 0, *counted)
        x = net.step("Pad", x, around, suffix="padded")
        pads = (0, 0, ends[0] - counted[0], ends[1] - counted[1])
        counted = (0, 0)
    include = net.attrs["count_include_pad"] and any(pads) and counted == ends
    net.result("AveragePool", x, pads=pads, count_include_pad=int(include), **window)
