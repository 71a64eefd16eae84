"""Pooling. Windows that round down; only the padding that a window reaches is written."""

from __future__ import annotations

import math

from mgn_convert.formats.onnx.writing.spec import NodeWriter, writes


def _reached(net: NodeWriter) -> tuple[int, int]:
    """Cells past the bottom and past the right edge that some window covers: always fewer than the kernel."""
    found = []
    for i in (0, 1):
        start, size = net.attrs["padding"][i], net.shape()[2 + i]
        last = (net.node.shape[2 + i] - 1) * net.attrs["stride"][i] + net.attrs["kernel"][i]
        found.append(max(0, last - start - size))
    return found[0], found[1]


@writes("max_pool", "MaxPool")
def max_pool(net: NodeWriter) -> None:
    top, left, _, _ = net.attrs["padding"]
    net.result(
        "MaxPool",
        net.x,
        kernel_shape=net.attrs["kernel"],
        strides=net.attrs["stride"],
        pads=(top, left, *_reached(net)),
    )


@writes("avg_pool", "AveragePool", "Pad", "Mul")
def avg_pool(net: NodeWriter) -> None:
    """The operator counts either all padding or none; where the overhang alone is not to count, zeros are
    padded first. A divisor of its own: the mean over whole windows times their size, over the divisor.
    """
    top, left, bottom, right = net.attrs["padding"]
    ends, divisor, x = _reached(net), net.attrs["divisor"], net.x
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
