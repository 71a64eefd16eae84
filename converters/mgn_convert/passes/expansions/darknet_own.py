"""What our Darknet engine lacks, from its own sections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import Link, chain, result, step


def sum_over_divisor(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """sum / d = (sum / 1) * (1 / d), for a divisor d that is no whole number."""
    attrs = {**node.attrs, "divisor": 1}
    links: list[Link] = [("sum", "avg_pool", attrs), ("mean", "power", {"scale": 1 / node.attrs["divisor"]})]
    return chain(builder, node, inputs[0], links)


def linear_by_conv(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """x @ W^T over the last axis D is a convolution of the map 1 x rows x D with kernels 1 x D.

    It gives rows of one cell for every output, which a permute puts side by side.
    """
    count, width = node.params["weight"].shape
    if len(node.shape) < 3:
        return None
    weight = node.params["weight"].reshape(count, 1, 1, width)
    links: list[Link] = [
        ("map", "reshape", {"shape": (0, 1, -1, width)}),
        ("rows", "conv", {"weight": weight, "bias": node.params.get("bias")}),
        ("beside", "permute", {"order": (0, 3, 2, 1)}),
        ("same", "reshape", {"shape": (0, *node.shape[1:])}),
    ]
    return chain(builder, node, inputs[0], links)


def mvn_by_means(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """c = x - mean(x); y = c / (sqrt(mean(c^2)) + eps), or c alone."""
    axes = tuple(range(1 if node.attrs["across_channels"] else 2, len(node.shape)))
    fields = {"kind": "mean", "axes": axes, "keepdims": True}
    if not axes:
        return None
    mean = step(builder, node, "reduce", inputs[0], suffix="mean", **fields)
    if not node.attrs["normalize_variance"]:
        return result(builder, node, "sub", inputs[0], mean)
    centred = step(builder, node, "sub", inputs[0], mean, suffix="centred")
    square = step(builder, node, "power", centred, suffix="square", power=2.0)
    variance = step(builder, node, "reduce", square, suffix="variance", **fields)
    root = step(builder, node, "power", variance, suffix="root", power=0.5)
    spread = step(builder, node, "power", root, suffix="spread", shift=float(node.attrs["eps"]))
    return result(builder, node, "div", centred, spread)


def permute_by_moves(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Any order of the axes by moves of one to the front: (before, axis, after) to (axis, before, after).

    The last of the wanted order moves first. Those that already stand at the end in this order need no move.
    """
    shape, order = inputs[0].shape, [int(axis) for axis in node.attrs["order"]]
    if order[0] != 0:
        return None
    here, wanted = [a for a in range(1, len(shape)) if shape[a] > 1], [a for a in order if a and shape[a] > 1]
    kept = len(wanted)
    while kept > 1 and _follow(here, wanted[kept - 2 :]):
        kept -= 1
    links: list[Link] = []
    for axis in reversed(wanted[: kept - 1]):
        at = here.index(axis)
        parts = [int(np.prod([shape[a] for a in run])) for run in (here[:at], [axis], here[at + 1 :])]
        links.append((f"view{axis}", "reshape", {"shape": (0, *parts)}))
        links.append((f"front{axis}", "permute", {"order": (0, 2, 1, 3)}))
        here = [axis, *here[:at], *here[at + 1 :]]
    links.append(("moved", "reshape", {"shape": (0, *node.shape[1:])}))
    return chain(builder, node, inputs[0], links)


def _follow(here: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether `axes` stand in `here` in this order."""
    places = [here.index(axis) for axis in axes]
    return places == sorted(places)
