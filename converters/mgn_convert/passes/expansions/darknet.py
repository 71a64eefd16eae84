"""What Darknet lacks, from square convolutions, scales of channels and relu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mgn_convert.graph import Array, GraphBuilder, Node, Value
from mgn_convert.passes.expansions import Link, chain, result, step
from mgn_convert.passes.expansions.conv import dense_kernel
from mgn_convert.passes.expansions.pool import cells

_LARGEST_GROWTH = 32
"""A kernel may become this many times larger by the zeros put around it."""


class Window(NamedTuple):
    """A kernel along an axis of `extent` cells: it spans `reach`, first from -start, `times` times."""

    reach: int
    stride: int
    start: int
    times: int
    extent: int


def square_around(rows: Window, columns: Window) -> tuple[int, int, int] | None:
    """(size, stride, padding) of the smallest square kernel that holds these windows, or None.

    Its windows start at i * stride - padding on both axes. For a single window any stride will do.
    A kernel with just as many windows is preferred; else there are more of them at the end.
    """
    strides = {w.stride for w in (rows, columns) if w.times > 1} or {1}
    if len(strides) > 1:
        return None
    stride, first = strides.pop(), max(rows.start, columns.start)
    longest = max(rows.reach, columns.reach)
    for exact in (True, False):
        for size in range(longest, 4 * (longest + first) + 1):
            for padding in range(first, size):
                if all(_holds(w, size, stride, padding, exact) for w in (rows, columns)):
                    return size, stride, padding
    return None


def _holds(window: Window, size: int, stride: int, padding: int, exact: bool) -> bool:
    room = window.extent + 2 * padding - size
    times = room // stride + 1 if room >= 0 else 0
    inside = padding - window.start + window.reach <= size
    return inside and (times == window.times if exact else times >= window.times)


def _square_links(
    weight: Array, windows: Sequence[Window], dilation: Sequence[int], **fields: Any
) -> list[Link] | None:
    """A conv whose kernel has zeros between (dilation) and around its numbers, and slices of its windows."""
    found = square_around(*windows)
    if found is None or found[0] ** 2 > _LARGEST_GROWTH * weight.shape[2] * weight.shape[3]:
        return None
    size, stride, padding = found
    square = np.zeros((*weight.shape[:2], size, size), weight.dtype)
    at = [
        slice(padding - w.start, padding - w.start + w.reach, d)
        for w, d in zip(windows, dilation, strict=True)
    ]
    square[:, :, at[0], at[1]] = weight
    fields |= {"weight": square, "stride": (stride, stride), "padding": (padding, padding)}
    links: list[Link] = [("square", "conv", fields)]
    for axis, name, w in ((2, "rows", windows[0]), (3, "columns", windows[1])):
        if (w.extent + 2 * padding - size) // stride + 1 != w.times:
            links.append((name, "slice", {"axis": axis, "start": 0, "stop": w.times}))
    return links


def conv_in_square(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """A convolution with any kernel is one with a larger square kernel, zero elsewhere.

    sum_k w[k] x[s i + d k - p] = sum_j v[j] x[s i + j - q],  v[d k + q - p] = w[k], else 0.
    """
    weight, attrs = node.params["weight"], node.attrs
    reach = [attrs["dilation"][i] * (weight.shape[2 + i] - 1) + 1 for i in (0, 1)]
    windows = _windows(node, inputs[0], reach)
    links = _square_links(
        weight, windows, attrs["dilation"], bias=node.params.get("bias"), groups=attrs["groups"]
    )
    if links is None or links[0][2]["weight"].shape == weight.shape:
        return None
    return chain(builder, node, inputs[0], links)


def _windows(node: Node, x: Value, reach: Sequence[int]) -> list[Window]:
    return [
        Window(reach[i], node.attrs["stride"][i], node.attrs["padding"][i], node.shape[2 + i], x.shape[2 + i])
        for i in (0, 1)
    ]


def avg_pool_by_conv(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """The mean of n cells is a convolution per channel with 1 / n everywhere, where n is always the same."""
    counts = cells(node, inputs[0].shape)
    if not np.all(counts == counts.flat[0]):
        return None
    kernel, channels = node.attrs["kernel"], node.shape[1]
    weight = np.full((channels, 1, *kernel), 1 / counts.flat[0], np.float32)
    links = _square_links(weight, _windows(node, inputs[0], kernel), (1, 1), groups=channels)
    return None if links is None else chain(builder, node, inputs[0], links)


def dense_transpose(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """`conv.dense_kernel`, for a transposed convolution with dilation or output padding."""
    if tuple(node.attrs["dilation"]) == (1, 1) and not any(node.attrs["output_padding"]):
        return None
    return dense_kernel(builder, node, inputs)


def pointwise_by_pool(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """A strided 1x1 convolution is one of every stride-th cell, which a max of 1x1 windows picks. Exact."""
    stride = tuple(node.attrs["stride"])
    if node.params["weight"].shape[2:] != (1, 1) or any(node.attrs["padding"]) or stride == (1, 1):
        return None
    picked = step(builder, node, "max_pool", inputs[0], suffix="picked", kernel=(1, 1), stride=stride)
    return result(builder, node, "conv", picked, groups=node.attrs["groups"], **dict(node.params))


def pad_by_conv(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Zeros around a map are the padding of a 1x1 convolution per channel with 1; slices cut the rest."""
    sides, channels = node.attrs["padding"], node.shape[1]
    if node.attrs["value"] != 0:
        return None
    grown = [max(0, *sides)] * 2
    links: list[Link] = []
    if grown[0]:
        ones = np.ones((channels, 1, 1, 1), np.float32)
        links.append(("padded", "conv", {"weight": ones, "padding": tuple(grown), "groups": channels}))
    for i, name in ((0, "rows"), (1, "columns")):
        start = grown[i] - sides[i]
        if grown[i] * 2 + inputs[0].shape[2 + i] != node.shape[2 + i]:
            stop = start + node.shape[2 + i]
            links.append((name, "slice", {"axis": 2 + i, "start": start, "stop": stop}))
    return chain(builder, node, inputs[0], links)


def scale_by_numbers(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """(shift + scale * x)^1 is a scale of every channel by the same numbers."""
    if node.attrs["power"] != 1:
        return None
    weight, bias = np.asarray(node.attrs["scale"], np.float64), np.asarray(node.attrs["shift"], np.float64)
    return result(builder, node, "scale", inputs[0], weight=weight, bias=bias)


def prelu_by_relu(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """prelu(x) = relu(x) - a * relu(-x). Exact: one of the two is 0."""
    slope = node.params["weight"] if node.op == "prelu" else np.asarray(node.attrs["slope"], np.float64)
    positive = step(builder, node, "relu", inputs[0], suffix="positive")
    mirrored = step(builder, node, "scale", inputs[0], suffix="mirrored", weight=np.asarray(-1.0, np.float32))
    negative = step(builder, node, "relu", mirrored, suffix="negative")
    scaled = step(builder, node, "scale", negative, suffix="scaled", weight=slope)
    return result(builder, node, "sub", positive, scaled)


def abs_by_relu(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """|x| = relu(x) + relu(-x). Exact."""
    positive = step(builder, node, "relu", inputs[0], suffix="positive")
    mirrored = step(builder, node, "scale", inputs[0], suffix="mirrored", weight=np.asarray(-1.0, np.float32))
    negative = step(builder, node, "relu", mirrored, suffix="negative")
    return result(builder, node, "add", positive, negative)


def clip_by_relu(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """clip(x, a, b) = b - relu((b - a) - relu(x - a)).

    The error is a rounding of a and b at most, however large x is, which relu(x - a) - relu(x - b) is not.
    """
    low, high = node.attrs["min"], node.attrs["max"]
    low = -np.inf if low is None else float(low)
    high = np.inf if high is None else float(high)
    if not (low < high) or (np.isinf(low) and np.isinf(high)):
        return None
    minus = np.asarray(-1.0)
    if np.isinf(low):
        links: list[Link] = [("below", "scale", {"weight": minus, "bias": np.asarray(high)})]
    else:
        links = [("above", "scale", {"bias": np.asarray(-low)})] if low else []
        links += [("positive", "relu", {})]
        if np.isinf(high):
            return chain(builder, node, inputs[0], [*links, ("raised", "scale", {"bias": np.asarray(low)})])
        links.append(("below", "scale", {"weight": minus, "bias": np.asarray(high - low)}))
    last = ("lowered", "scale", {"weight": minus, "bias": np.asarray(high)})
    return chain(builder, node, inputs[0], [*links, ("room", "relu", {}), last])


def sum_by_mean(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """The sum over height and width is their mean times the number of cells."""
    shape = inputs[0].shape
    if node.attrs["kind"] != "sum" or len(shape) != 4 or {a % 4 for a in node.attrs["axes"]} != {2, 3}:
        return None
    attrs = {**node.attrs, "kind": "mean"}
    count = np.asarray(shape[2] * shape[3], np.float32)
    return chain(builder, node, inputs[0], [("mean", "reduce", attrs), ("sum", "scale", {"weight": count})])
