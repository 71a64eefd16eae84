"""Normalisation and per-channel arithmetic with constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mgn_convert.formats.tensorflow.graphdef import Type
from mgn_convert.formats.tensorflow.layout import place, storage, stored
from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.formats.tensorflow.registry import writes
from mgn_convert.formats.tensorflow.rules.shape import rows_first
from mgn_convert.graph import Array, Node
from mgn_convert.graph.ops.spec import axis_of


def constant_at(net: NetWriter, node: Node, suffix: str, array: Array, axis: int) -> str:
    """A weight that spans the axes of `node` from `axis` on, so that it broadcasts with the stored value."""
    rank = len(node.shape)
    trailing = rank - axis - array.ndim if array.ndim else 0
    spread = array.reshape((1,) * (axis if array.ndim else 0) + array.shape + (1,) * trailing)
    order = storage(rank) if spread.ndim == rank else None
    return net.weight(net.part(node, suffix), spread, order)


@writes("batch_norm", "FusedBatchNormV3", "Sub", "Mul", "AddV2")
def write_batch_norm(net: NetWriter, node: Node) -> None:
    """Of other than 4 axes: ((x - mean) * (weight / sqrt(var + eps))) + bias."""
    mean, var = node.params["mean"], node.params["var"]
    weight = node.params.get("weight", np.ones_like(mean))
    bias = node.params.get("bias", np.zeros_like(mean))
    x, eps = net.tensor(node.inputs[0]), float(node.attrs["eps"])
    if len(node.shape) == 4:
        arrays = {"weight": weight, "bias": bias, "mean": mean, "var": var}
        inputs = [net.weight(net.part(node, name), array) for name, array in arrays.items()]
        fields: dict[str, Any] = {"epsilon": eps, "is_training": False, "data_format": "NHWC"}
        net.out(node, "FusedBatchNormV3", x, *inputs, U=Type.FLOAT, **fields)
        return
    factor = (weight.astype(np.float64) / np.sqrt(var.astype(np.float64) + eps)).astype(np.float32)
    for op, suffix, array in (("Sub", "mean", mean), ("Mul", "factor", factor)):
        other = constant_at(net, node, suffix, array, 1)
        x = net.add(op, net.part(node, op.lower()), x, other, exact=True)
    net.out(node, "AddV2", x, constant_at(net, node, "bias", bias, 1))


def _mean(net: NetWriter, node: Node, x: str, axes: Sequence[int], suffix: str) -> str:
    places = sorted(place(axis, len(node.shape)) for axis in axes)
    x = rows_first(net, node, "Mean", x, places, stored(net.sizes(node.name)))
    given = net.ints(net.part(node, f"{suffix}/axes"), places)
    return net.add("Mean", net.part(node, suffix), x, given, keep_dims=True, exact=True)


def _centred(net: NetWriter, node: Node, axes: Sequence[int]) -> str:
    """x - mean(x). Taken away twice: sums are in float32, and a division by a small deviation would enlarge
    what the first mean left.
    """
    x = net.tensor(node.inputs[0])
    for suffix in ("rough", "centred"):
        mean = _mean(net, node, x, axes, f"{suffix}/mean")
        x = net.add("Sub", net.part(node, suffix), x, mean, exact=True)
    return x


def _variance(net: NetWriter, node: Node, centred: str, axes: Sequence[int]) -> str:
    square = net.add("Square", net.part(node, "square"), centred, exact=True)
    return _mean(net, node, square, axes, "variance")


@writes("instance_norm", "Mean", "Sub", "Square", "AddV2", "Sqrt", "RealDiv", "Mul")
def write_instance_norm(net: NetWriter, node: Node) -> None:
    centred = _centred(net, node, (2, 3))
    variance = _variance(net, node, centred, (2, 3))
    eps = net.number(net.part(node, "eps"), node.attrs["eps"])
    shifted = net.add("AddV2", net.part(node, "shifted"), variance, eps, exact=True)
    steps = [("RealDiv", net.add("Sqrt", net.part(node, "deviation"), shifted, exact=True))]
    for op, name in (("Mul", "weight"), ("AddV2", "bias")):
        if name in node.params:
            steps.append((op, constant_at(net, node, name, node.params[name], 1)))
    for op, other in steps[:-1]:
        centred = net.add(op, net.part(node, op.lower()), centred, other, exact=True)
    net.out(node, steps[-1][0], centred, steps[-1][1])


@writes("mvn", "Mean", "Sub", "Square", "Sqrt", "AddV2", "RealDiv")
def write_mvn(net: NetWriter, node: Node) -> None:
    """eps is added outside the root."""
    axes = range(1 if node.attrs["across_channels"] else 2, len(node.shape))
    centred = _centred(net, node, axes)
    if not node.attrs["normalize_variance"]:
        net.out(node, "Identity", centred)
        return
    variance = _variance(net, node, centred, axes)
    root = net.add("Sqrt", net.part(node, "deviation"), variance, exact=True)
    eps = net.number(net.part(node, "eps"), node.attrs["eps"])
    net.out(node, "RealDiv", centred, net.add("AddV2", net.part(node, "shifted"), root, eps, exact=True))


@writes("scale", "Mul", "AddV2")
def write_scale(net: NetWriter, node: Node) -> None:
    x, axis = net.tensor(node.inputs[0]), axis_of(node.attrs["axis"], len(node.shape))
    weight, bias = node.params.get("weight"), node.params.get("bias")
    if weight is not None:
        factor = constant_at(net, node, "weight", weight, axis)
        if bias is None:
            net.out(node, "Mul", x, factor)
            return
        x = net.add("Mul", net.part(node, "weighted"), x, factor, exact=True)
    assert bias is not None
    net.out(node, "AddV2", x, constant_at(net, node, "bias", bias, axis))
