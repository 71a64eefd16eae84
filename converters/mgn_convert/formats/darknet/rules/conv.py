"""[convolutional] and [deconvolutional], with one window for both directions or one for each; [upsample]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit, is_nearest
from mgn_convert.formats.darknet.layout import RESHAPED, is_image
from mgn_convert.formats.darknet.normalize import to_darknet, variance_of
from mgn_convert.formats.darknet.reader import Reading, check_size
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.activation import activation_steps
from mgn_convert.formats.darknet.weights import FLOAT
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Array, Graph, Node, Value

_UNUSUAL = ("binary", "xnor", "flipped", "dot")


def read_norm(r: Reading, s: Section, filters: int) -> dict[str, Array]:
    """scales, rolling_mean and rolling_variance as fields of a batch_norm node."""
    weight, mean, rolling = (r.take(what, filters) for what in ("scales", "mean", "variance"))
    if r.weights.ran_out:
        return {"weight": weight, "mean": mean, "var": rolling}
    return {"weight": weight, "mean": mean, "var": variance_of(rolling)}


def _per_axis(s: Section, key: str, default: int, *, least: int) -> tuple[int, int]:
    """key_h and key_w, each `key` unless given."""
    both = s.integer(key, default, least=least)
    return s.integer(f"{key}_h", both, least=least), s.integer(f"{key}_w", both, least=least)


def read_strides(s: Section) -> tuple[int, int]:
    """stride_h or stride_y, and stride_w or stride_x, each `stride` unless given."""
    both = s.integer("stride", 1, least=1)
    found = [
        s.integer(ours, s.integer(other, both, least=1), least=1)
        for ours, other in (("stride_h", "stride_y"), ("stride_w", "stride_x"))
    ]
    return found[0], found[1]


def _read_window(s: Section) -> tuple[tuple[int, int], dict[str, tuple[int, int]]]:
    """Kernel, and the attributes of a convolution. pad is a switch for padding = size / 2."""
    kernel = _per_axis(s, "size", 1, least=1)
    padding = _per_axis(s, "padding", 0, least=0)
    if s.integer("pad", 0):
        halves = [
            p if s.has(f"padding_{a}") else n // 2 for p, n, a in zip(padding, kernel, "hw", strict=True)
        ]
        padding = halves[0], halves[1]
    dilation = _per_axis(s, "dilation", 1, least=1)
    return kernel, {"stride": read_strides(s), "padding": padding, "dilation": dilation}


def _read_groups(s: Section, channels: int, filters: int) -> int:
    groups = s.integer("groups", 1, least=1)
    if channels % groups or filters % groups:
        raise s.error(
            "groups divides the channels before and after",
            key="groups",
            because=f"there are {channels} and {filters}",
        )
    return groups


@reads("convolutional")
def read_convolutional(r: Reading, s: Section) -> Value:
    """Biases, with batch_normalize scales, mean and variance, then (filters, C / groups, rows, columns)."""
    x = r.image()
    kernel, attrs = _read_window(s)
    filters = s.integer("filters", 1, least=1)
    groups = _read_groups(s, x.shape[1], filters)
    s.refuse(_UNUSUAL, "such weights are of another kind")
    return _read(
        r, s, x, "conv", (filters, x.shape[1] // groups, *kernel), {**attrs, "groups": groups}, filters
    )


@reads("deconvolutional")
def read_deconvolutional(r: Reading, s: Section) -> Value:
    """As convolutional; the weights are (C, filters / groups, rows, columns)."""
    x = r.image()
    kernel, attrs = _read_window(s)
    filters = s.integer("filters", 1, least=1)
    groups = _read_groups(s, x.shape[1], filters)
    extra = _per_axis(s, "output_padding", 0, least=0)
    for i, key in ((0, "output_padding_h"), (1, "output_padding_w")):
        if extra[i] and extra[i] >= max(attrs["stride"][i], attrs["dilation"][i]):
            raise s.error(
                "output_padding is less than the stride or the dilation",
                key=key if key in s.options else "output_padding",
            )
    fields = {**attrs, "groups": groups, "output_padding": extra}
    return _read(r, s, x, "conv_transpose", (x.shape[1], filters // groups, *kernel), fields, filters)


def _read(
    r: Reading, s: Section, x: Value, op: str, shape: tuple[int, ...], attrs: Mapping[str, Any], filters: int
) -> Value:
    bias = r.take("biases", filters)
    norm = read_norm(r, s, filters) if s.switch("batch_normalize") else None
    weight = r.take("weights", *shape)
    fields = {**attrs, "weight": weight}
    acts = activation_steps(s, "logistic")
    if norm is None:
        return r.chain(x, (op, {**fields, "bias": bias}), *acts)
    return r.chain(x, (op, fields), ("batch_norm", {**norm, "bias": bias, "eps": 0.0}), *acts)


def _lacks_square(graph: Graph, node: Node) -> str | None:
    kernel, stride, padding = node.params["weight"].shape[2:], node.attrs["stride"], node.attrs["padding"]
    if not is_image(graph, node.inputs[0]):
        return RESHAPED
    if kernel[0] != kernel[1]:
        return f"a Darknet kernel is square, this one is {kernel[0]}x{kernel[1]}"
    if stride[0] != stride[1] or padding[0] != padding[1]:
        return "Darknet has one stride and one padding for both directions"
    if tuple(node.attrs["dilation"]) != (1, 1) and kernel[0] > 1:
        return "a Darknet kernel has no dilation"
    return None


def _lacks_conv(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if dialect["own_layers"]:
        return None
    reason = _lacks_square(graph, node)
    if reason or dialect["strided_pointwise"] or node.params["weight"].shape[2] > 1:
        return reason
    if node.attrs["stride"][0] > 1 or node.attrs["padding"][0] > 0:
        return "upstream Darknet ignores stride and padding of a 1x1 kernel"
    return None


def _lacks_transpose(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    attrs = node.attrs
    if dialect["own_layers"]:
        limits = zip(attrs["output_padding"], attrs["stride"], attrs["dilation"], strict=True)
        if any(extra and extra >= max(stride, dilation) for extra, stride, dilation in limits):
            return "[deconvolutional] has less output padding than its stride or its dilation"
        return None
    if is_nearest(node) and is_image(graph, node.inputs[0]):
        return None
    reason = _lacks_square(graph, node)
    if reason:
        return reason
    if attrs["groups"] != 1:
        return "[deconvolutional] has no groups"
    if any(attrs["output_padding"]):
        return "[deconvolutional] has no output padding"
    return (
        None if dialect["deconvolutional"] else "upstream Darknet crashes when it loads a [deconvolutional]"
    )


def _window_options(node: Node) -> dict[str, int]:
    """Upstream's keys where they say all; else a key for each direction."""
    attrs, kernel = node.attrs, node.params["weight"].shape[2:]
    options = {"groups": attrs["groups"]} if attrs["groups"] > 1 else {}
    dilation = [d if k > 1 else 1 for d, k in zip(attrs["dilation"], kernel, strict=True)]
    pairs = {"size": kernel, "stride": attrs["stride"], "padding": attrs["padding"]}
    if all(a == b for a, b in pairs.values()) and dilation == [1, 1]:
        return options | {key: pair[0] for key, pair in pairs.items()}
    for key, pair in pairs.items():
        options |= {f"{key}_h": pair[0], f"{key}_w": pair[1]}
    if dilation != [1, 1]:
        options |= {"dilation_h": dilation[0], "dilation_w": dilation[1]}
    return options


@writes("conv", lacks=_lacks_conv, sections=("convolutional",))
def write_conv(w: Writing, unit: Unit) -> None:
    """One section for the convolution and what follows it."""
    node, weight = unit.head, unit.head.params["weight"]
    w.use(node.inputs[0], w.graph.value(node.inputs[0]).shape[1:])
    options: dict[str, Any] = {"batch_normalize": 1} if unit.norm else {}
    options |= {"filters": weight.shape[0], **_window_options(node), **unit.activation}
    arrays = (*_vectors(unit, weight.shape[0]), weight)
    w.section("convolutional", unit, options, *arrays, shape=node.shape[1:])


@writes("conv_transpose", lacks=_lacks_transpose, sections=("deconvolutional", "upsample"))
def write_conv_transpose(w: Writing, unit: Unit) -> None:
    """[deconvolutional], or [upsample] for one that repeats cells."""
    node, weight = unit.head, unit.head.params["weight"]
    w.use(node.inputs[0], w.graph.value(node.inputs[0]).shape[1:])
    if is_nearest(node):
        w.section("upsample", unit, {"stride": weight.shape[2]}, shape=node.shape[1:])
        return
    options: dict[str, Any] = {"batch_normalize": 1} if unit.norm else {}
    options |= {"filters": node.shape[1], **_window_options(node)}
    extra = node.attrs["output_padding"]
    if any(extra):
        options |= {"output_padding_h": extra[0], "output_padding_w": extra[1]}
    arrays = (*_vectors(unit, node.shape[1]), weight)
    w.section("deconvolutional", unit, {**options, **unit.activation}, *arrays, shape=node.shape[1:])


def _vectors(unit: Unit, filters: int) -> tuple[Array, ...]:
    bias = unit.head.params.get("bias")
    if unit.norm is None:
        return (np.zeros(filters, FLOAT) if bias is None else bias,)
    return to_darknet(unit.norm, scale=unit.scale, bias=bias)


@reads("upsample")
def read_upsample(r: Reading, s: Section) -> Value:
    """Every cell repeated `stride` times down and across, times `scale`."""
    x = r.image()
    stride, scale = s.integer("stride", 2, least=1), s.number("scale", 1)
    check_size(s, (1, x.shape[1], x.shape[2] * stride, x.shape[3] * stride))
    ones = np.broadcast_to(np.ones((), FLOAT), (x.shape[1], 1, stride, stride))
    fields = {"weight": ones, "stride": (stride, stride), "groups": x.shape[1]}
    return r.chain(
        x,
        ("conv_transpose", fields),
        ("scale", {"weight": np.asarray(scale, FLOAT)}) if scale != 1 else None,
    )
