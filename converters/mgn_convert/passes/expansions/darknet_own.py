"""What our Darknet engine lacks, from its own sections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgn_convert.graph import GraphBuilder, Node, Shape, Value
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


def conv_per_image(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """A convolution of (N * f, C, H, W), in which f axes of an image went into the batch, is one of
    (N, f * C, H, W) with f times the groups and the same weights for each; so is a transposed one. Where it
    does no more than to swap rows and columns, for which portable Caffe has no layer, it is a permute.

    Applies to the reshape that brings the axes back from the batch.
    """
    made = builder.graph([inputs[0]])
    if inputs[0].name not in made or made.node(inputs[0].name).op not in ("conv", "conv_transpose"):
        return None
    conv = made.node(inputs[0].name)
    if conv.inputs[0] not in made or made.node(conv.inputs[0]).op != "reshape":
        return None
    into = made.node(conv.inputs[0])
    source = made.value(into.inputs[0])
    times, left = divmod(into.shape[0], source.shape[0])
    if left or source.shape[0] != node.shape[0]:
        return None
    if rows_and_columns := _swapped(conv, into.shape):
        swap: list[Link] = [
            ("image", "reshape", {"shape": (0, times, *rows_and_columns)}),
            ("swapped", "permute", {"order": (0, 1, 3, 2)}),
            ("back", "reshape", {"shape": (0, *node.shape[1:])}),
        ]
        return chain(builder, node, source, swap)
    weight, bias = conv.params["weight"], conv.params.get("bias")
    attrs = {**conv.attrs, "groups": conv.attrs["groups"] * times}
    links: list[Link] = [
        ("image", "reshape", {"shape": (0, times * into.shape[1], *into.shape[2:])}),
        (
            "each",
            conv.op,
            {
                **attrs,
                "weight": np.tile(weight, (times, 1, 1, 1)),
                "bias": None if bias is None else np.tile(bias, times),
            },
        ),
        ("back", "reshape", {"shape": (0, *node.shape[1:])}),
    ]
    return chain(builder, node, source, links)


def _swapped(conv: Node, shape: Shape) -> tuple[int, int] | None:
    """Rows P and columns Q, where the convolution of a map of this shape does no more than to swap them.

    (n, 1, P, Q) to (n, Q, P, 1) by Q kernels of 1 x Q, or (n, P, Q, 1) to (n, 1, Q, P) by a transposed
    convolution with P kernels of 1 x P; kernel i is 1 at i and 0 elsewhere.
    """
    weight, plain = conv.params["weight"], {"stride": (1, 1), "padding": (0, 0), "output_padding": (0, 0)}
    if (
        any(tuple(conv.attrs.get(key, value)) != value for key, value in plain.items())
        or "bias" in conv.params
    ):
        return None
    _, channels, height, width = shape
    size, single, found = (
        (width, channels, (height, width)) if conv.op == "conv" else (channels, width, (channels, height))
    )
    if single != 1 or weight.shape != (size, 1, 1, size):
        return None
    return found if np.array_equal(weight[:, 0, 0], np.eye(size)) else None
