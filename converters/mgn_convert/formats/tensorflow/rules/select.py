"""Choices that depend on values."""

from __future__ import annotations

from typing import Any

from mgn_convert.formats.tensorflow.graphdef import Type
from mgn_convert.formats.tensorflow.layout import place
from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.formats.tensorflow.registry import writes
from mgn_convert.graph import Node


@writes("top_channels", "TopKV2", "GatherV2")
def write_top_channels(net: NetWriter, node: Node) -> None:
    """TopKV2 gives the best first and, of equal ones, the lower."""
    values, scores = (net.tensor(name) for name in node.inputs)
    count = net.ints(net.part(node, "k"), node.attrs["k"])
    best = net.add("TopKV2", net.part(node, "best"), scores, count, sorted=True, exact=True)
    axis = net.ints(net.part(node, "axis"), place(1, len(node.shape)))
    types: dict[str, Any] = {"Tparams": Type.FLOAT, "Tindices": Type.INT32, "Taxis": Type.INT32}
    net.out(node, "GatherV2", values, f"{best}:1", axis, kind=None, batch_dims=1, **types)
