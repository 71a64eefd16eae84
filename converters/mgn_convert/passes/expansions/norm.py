"""Normalisation and per-channel arithmetic."""

from __future__ import annotations

from mgn_convert.graph import GraphBuilder, Node, Value
from mgn_convert.passes.expansions import Link, chain, result, step


def _variance(builder: GraphBuilder, node: Node, centred: Value) -> Value:
    """mean(c^2) per image and channel, shape (N, C, 1, 1): rows first, since engines add up in float32."""
    square = step(builder, node, "power", centred, suffix="square", power=2.0)
    height, width = centred.shape[2:]
    rows = step(builder, node, "avg_pool", square, suffix="rows", kernel=(1, width), stride=(1, 1))
    return step(builder, node, "avg_pool", rows, suffix="variance", kernel=(height, 1), stride=(1, 1))


def instance_norm_by_mvn(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """c = x - mean(x); y = c * (mean(c^2) + eps)^-0.5 * weight + bias, means over H and W.

    Written out because Caffe's MVN adds eps outside the root, OpenCV's inside. The mean is taken away twice:
    engines sum in float32, and on a nearly constant map eps^-0.5 would enlarge what the first mean left.
    """
    rough = step(builder, node, "mvn", inputs[0], suffix="rough", normalize_variance=False)
    centred = step(builder, node, "mvn", rough, suffix="centred", normalize_variance=False)
    variance = _variance(builder, node, centred)
    factor = step(
        builder, node, "power", variance, suffix="deviation", power=-0.5, shift=float(node.attrs["eps"])
    )
    if not node.params:
        return result(builder, node, "mul", centred, factor)
    normal = step(builder, node, "mul", centred, factor, suffix="normal")
    return result(builder, node, "scale", normal, axis=1, **dict(node.params))


def mvn_per_channel(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Across channels = per channel of the same values seen as (N, 1, C*H*W, 1)."""
    if not node.attrs["across_channels"]:
        return None
    x = inputs[0]
    attrs = {**node.attrs, "across_channels": False}
    links: list[Link] = [
        ("flat", "reshape", {"shape": (0, 1, -1, 1)}),
        ("normal", "mvn", attrs),
        ("back", "reshape", {"shape": (0, *x.shape[1:])}),
    ]
    return chain(builder, node, x, links)


def mvn_by_variance(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """c = x - mean(x); y = c / (sqrt(mean(c^2)) + eps): eps is outside the root, as Caffe has it."""
    if node.attrs["across_channels"] or not node.attrs["normalize_variance"] or len(node.shape) != 4:
        return None
    centred = step(builder, node, "mvn", inputs[0], suffix="centred", normalize_variance=False)
    variance = _variance(builder, node, centred)
    deviation = step(builder, node, "power", variance, suffix="deviation", power=0.5)
    factor = step(
        builder, node, "power", deviation, suffix="factor", power=-1.0, shift=float(node.attrs["eps"])
    )
    return result(builder, node, "mul", centred, factor)


def scale_by_power(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """x * w + b for numbers w and b is a power of 1."""
    if any(array.ndim for array in node.params.values()):
        return None
    weight = float(node.params["weight"]) if "weight" in node.params else 1.0
    bias = float(node.params["bias"]) if "bias" in node.params else 0.0
    return result(builder, node, "power", inputs[0], scale=weight, shift=bias)


def scale_in_two(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """x * w + b = (x * w) + b, where w and b span different axes."""
    if len(node.params) < 2:
        return None
    axis = node.attrs["axis"]
    links: list[Link] = [
        ("weighted", "scale", {"axis": axis, "weight": node.params["weight"]}),
        ("shifted", "scale", {"axis": axis, "bias": node.params["bias"]}),
    ]
    return chain(builder, node, inputs[0], links)
