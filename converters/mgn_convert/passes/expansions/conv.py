"""Convolutions."""

from __future__ import annotations

import numpy as np

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import result


def dense_kernel(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """A dilated kernel is a larger kernel with zeros; output padding is a kernel with zeros at its end.

    y[s*i + d*k - p] += w[k] * x[i] is the same sum when w has zeros between its rows (d) and after them.
    """
    weight, (dh, dw), (oh, ow) = node.params["weight"], node.attrs["dilation"], node.attrs["output_padding"]
    rows, columns = weight.shape[2:]
    reach = (dh * (rows - 1) + 1, dw * (columns - 1) + 1)
    dense = np.zeros((*weight.shape[:2], reach[0] + oh, reach[1] + ow), weight.dtype)
    dense[:, :, : reach[0] : dh, : reach[1] : dw] = weight
    return result(
        builder,
        node,
        "conv_transpose",
        *inputs,
        weight=dense,
        bias=node.params.get("bias"),
        stride=node.attrs["stride"],
        padding=node.attrs["padding"],
        groups=node.attrs["groups"],
    )
