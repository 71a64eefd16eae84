"""Windowed pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.formats.tensorflow.registry import writes
from mgn_convert.formats.tensorflow.rules.conv import around, on_maps
from mgn_convert.formats.tensorflow.rules.shape import LONG
from mgn_convert.graph import Node
from mgn_convert.passes.expansions.pool import cells, reach, start_padding


@writes("max_pool", "MaxPool")
def write_max_pool(net: NetWriter, node: Node) -> None:
    ends = reach(node, net.graph.value(node.inputs[0]).shape)
    net.out(
        node,
        "MaxPool",
        net.tensor(node.inputs[0]),
        ksize=on_maps(node.attrs["kernel"]),
        strides=on_maps(node.attrs["stride"]),
        data_format="NHWC",
        **around(*start_padding(node), *ends),
    )


@writes("avg_pool", "AvgPool", "PadV2", "Mul")
def write_avg_pool(net: NetWriter, node: Node) -> None:
    """The mean over windows of zeros and x, times (cells of the window / cells that count).

    Long sums are made in two steps, rows first.
    """
    x, kernel = net.tensor(node.inputs[0]), node.attrs["kernel"]
    (top, left, bottom, right), (below, beside) = node.attrs["padding"], node.attrs["overhang"]
    border = [[0, 0], [top, bottom + below], [left, right + beside], [0, 0]]
    if any(map(any, border)):
        sides, zero = net.ints(net.part(node, "border"), border), net.number(net.part(node, "zero"), 0)
        x = net.add("PadV2", net.part(node, "padded"), x, sides, zero, exact=True)
    stride = node.attrs["stride"]
    fields: dict[str, Any] = {"padding": "VALID", "data_format": "NHWC"}
    if kernel[0] * kernel[1] > LONG:
        wide: dict[str, Any] = {"ksize": on_maps((1, kernel[1])), "strides": on_maps((1, stride[1]))}
        x = net.add("AvgPool", net.part(node, "rows"), x, exact=True, **wide, **fields)
        fields |= {"ksize": on_maps((kernel[0], 1)), "strides": on_maps((stride[0], 1))}
    else:
        fields |= {"ksize": on_maps(kernel), "strides": on_maps(stride)}
    ratio = kernel[0] * kernel[1] / cells(node, net.graph.value(node.inputs[0]).shape)
    if np.all(ratio == 1):
        net.out(node, "AvgPool", x, **fields)
        return
    mean = net.add("AvgPool", net.part(node, "mean"), x, exact=True, **fields)
    alike = np.all(ratio == ratio.flat[0])
    counted = ratio.reshape(-1)[0] if alike else ratio[None, :, :, None]
    net.out(node, "Mul", mean, net.small(net.part(node, "ratio"), counted))
