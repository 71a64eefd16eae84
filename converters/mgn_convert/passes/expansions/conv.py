"""Convolutions."""

from __future__ import annotations

import numpy as np

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import Link, chain, result


def cells_by_conv(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """With a 1x1 kernel and stride 1 it is a convolution of each cell; padding cuts off the outer ones."""
    weight, groups = node.params["weight"], node.attrs["groups"]
    if (
        weight.shape[2:] != (1, 1)
        or tuple(node.attrs["stride"]) != (1, 1)
        or any(node.attrs["output_padding"])
    ):
        return None
    turned = weight.reshape(groups, -1, weight.shape[1]).transpose(0, 2, 1)
    cuts: list[Link] = [
        (f"cut{axis}", "slice", {"axis": axis, "start": cut, "stop": inputs[0].shape[axis] - cut})
        for axis, cut in zip((2, 3), node.attrs["padding"], strict=True)
        if cut
    ]
    fields = {"weight": turned.reshape(-1, weight.shape[0] // groups, 1, 1), "bias": node.params.get("bias")}
    return chain(builder, node, inputs[0], [*cuts, ("cells", "conv", {**fields, "groups": groups})])


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
