"""Pooling, SPP."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mgn_convert.formats.caffe.reader import LayerReader
from mgn_convert.formats.caffe.registry import Dialect, reads, writes
from mgn_convert.formats.caffe.rules.conv import pair, spread
from mgn_convert.formats.caffe.writer import NetWriter
from mgn_convert.graph import Graph, Node, Value
from mgn_convert.passes.expansions.pool import (
    ceil_is_clear,
    ceil_windows,
    cells,
    floor_windows,
    start_padding,
)

_MAX, _AVE = 0, 1
_KINDS = {_MAX: "max_pool", _AVE: "avg_pool"}


@reads("Pooling")
def read_pooling(layer: LayerReader) -> Value:
    layer.take(1)
    param, x = layer.param("pooling_param"), layer.x
    if param.pool not in _KINDS or len(layer.layer.tops) != 1:
        layer.refuse("only MAX and AVE pooling with one top has a meaning at test time elsewhere")
    if len(x.shape) != 4:
        layer.refuse("Pooling takes 4 axes", got=str(x.shape))
    if param.global_pooling:
        kernel, stride, padding = x.shape[2:], (1, 1), (0, 0)
    else:
        kernel = pair(param, "kernel", "kernel_size", None) or (0, 0)
        stride = pair(param, "stride", "stride", 1) or (0, 0)
        padding = pair(param, "pad", "pad", 0) or (0, 0)
    if min(*kernel, *stride) < 1:
        layer.refuse("kernel and stride are positive", got=f"kernel {kernel}, stride {stride}")
    floor = param.round_mode == 1 or not param.ceil_mode
    if not floor and not all(map(ceil_is_clear, x.shape[2:], kernel, stride, padding)) and not any(padding):
        layer.refuse(
            "a last window begins past the input, where Caffe pools nothing",
            got=f"kernel {kernel}, stride {stride} on {x.shape}",
        )
    return pooled(layer, _KINDS[param.pool], x, kernel, stride, padding, floor=floor)


def pooled(
    layer: LayerReader,
    op: str,
    x: Value,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    *,
    floor: bool = False,
    suffix: str = "",
) -> Value:
    """Caffe's windows as an op: as many as its rounding gives, padded at the end as they need."""
    ends, overhang = [], []
    for size, k, s, p in zip(x.shape[2:], kernel, stride, padding, strict=True):
        count = (floor_windows if floor else ceil_windows)(size, k, s, p)
        ends.append(p if floor else max(0, (count - 1) * s + k - size - p))
        overhang.append(0 if floor else max(0, (count - 1) * s + k - size - 2 * p))
    fields: dict[str, Any] = {"kernel": tuple(kernel), "stride": tuple(stride)}
    if op == "max_pool":
        fields["padding"] = (*padding, *ends)
    else:
        fields |= {"padding": (*padding, *padding), "overhang": tuple(overhang)}
    if suffix:
        return layer.step(op, x, suffix=suffix, **fields)
    return layer.result(op, x, **fields)


@reads("SPP")
def read_spp(layer: LayerReader) -> Value:
    """Level l pools into 2^l x 2^l bins; the levels are flattened and joined."""
    layer.take(1)
    param, x = layer.param("spp_param"), layer.x
    if param.pool not in _KINDS or len(x.shape) != 4 or not 0 < param.pyramid_height < 10:
        layer.refuse("only MAX and AVE pooling of 4 axes has a meaning at test time elsewhere")
    levels = []
    for level in range(param.pyramid_height):
        bins = 2**level
        kernel = [math.ceil(size / bins) for size in x.shape[2:]]
        padding = [(k * bins - size + 1) // 2 for k, size in zip(kernel, x.shape[2:], strict=True)]
        y = pooled(
            layer, _KINDS[param.pool], x, tuple(kernel), tuple(kernel), tuple(padding), suffix=f"pool{level}"
        )
        levels.append(layer.step("reshape", y, suffix=f"flat{level}", shape=(0, -1)))
    return layer.result("concat", *levels, axis=1)


def _rounding(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    """ "ceil" or "floor", whichever gives the node's windows on both axes; None if neither does."""
    x = graph.value(node.inputs[0]).shape
    padding = start_padding(node)
    for name, windows in (("ceil", ceil_windows), ("floor", floor_windows)):
        if name == "floor" and not dialect["pooling_floor"]:
            continue
        axes = [*zip(x[2:], node.attrs["kernel"], node.attrs["stride"], padding, strict=True)]
        clear = name == "floor" or all(ceil_is_clear(*axis) for axis in axes)
        if clear and tuple(windows(*axis) for axis in axes) == node.shape[2:]:
            return name
    return None


def _max_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    if _rounding(graph, node, dialect) is None:
        return "Pooling rounds sizes up in this dialect, and pads both ends alike"
    return None


def _avg_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    rounding = _max_fits(graph, node, dialect)
    if rounding is not None:
        return rounding
    x = graph.value(node.inputs[0]).shape
    wanted, here = cells(node, x), cells(node, x, as_caffe=True)
    if not np.array_equal(wanted, here):
        return "Pooling AVE counts padding, and has no divisor of its own"
    return None


def _write(net: NetWriter, node: Node, kind: int) -> None:
    x, attrs = net.graph.value(node.inputs[0]).shape, node.attrs
    padding = start_padding(node)
    param: dict[str, Any] = {"pool": kind}
    if tuple(attrs["kernel"]) == x[2:] and padding == (0, 0) and node.shape[2:] == (1, 1):
        param["global_pooling"] = True
    else:
        param |= spread("kernel", "kernel_size", attrs["kernel"])
        param |= spread("stride", "stride", attrs["stride"], 1)
        param |= spread("pad", "pad", padding, 0)
        if _rounding(net.graph, node, net.dialect) == "floor":
            param |= net.dialect["pooling_floor"]
    net.layer("Pooling", node, pooling_param=param)


@writes("max_pool", "Pooling", fits=_max_fits)
def write_max_pool(net: NetWriter, node: Node) -> None:
    _write(net, node, _MAX)


@writes("avg_pool", "Pooling", fits=_avg_fits)
def write_avg_pool(net: NetWriter, node: Node) -> None:
    _write(net, node, _AVE)
