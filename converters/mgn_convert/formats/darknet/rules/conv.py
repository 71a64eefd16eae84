"""[convolutional] and [deconvolutional], and what is written as such: batch norm and scale of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit, is_channel_scale
from mgn_convert.formats.darknet.layout import has_channels, is_image
from mgn_convert.formats.darknet.normalize import lacks_variance, to_darknet, variance_of
from mgn_convert.formats.darknet.reader import Reading
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


def read_window(s: Section) -> tuple[int, tuple[int, int], int]:
    """Size, stride (down, across) and padding per side. pad is a switch for padding = size / 2."""
    size = s.integer("size", 1, least=1)
    stride = s.integer("stride", 1, least=1)
    padding = s.integer("padding", 0)
    if s.integer("pad", 0):
        padding = size // 2
    return size, (s.integer("stride_y", stride, least=1), s.integer("stride_x", stride, least=1)), padding


@reads("convolutional")
def read_convolutional(r: Reading, s: Section) -> Value:
    """Biases, with batch_normalize also scales, mean and variance, then (filters, C / groups, size, size)."""
    x = r.image()
    size, stride, padding = read_window(s)
    filters, groups = s.integer("filters", 1, least=1), s.integer("groups", 1, least=1)
    s.refuse(_UNUSUAL, "such weights are of another kind")
    if x.shape[1] % groups or filters % groups:
        raise s.error(
            "groups divides the channels before and after",
            key="groups",
            because=f"there are {x.shape[1]} and {filters}",
        )
    return _read(
        r, s, x, "conv", (filters, x.shape[1] // groups, size, size),
        {"stride": stride, "padding": (padding, padding), "groups": groups}, filters,
    )  # fmt: skip


@reads("deconvolutional")
def read_deconvolutional(r: Reading, s: Section) -> Value:
    """As convolutional; the weights are (C, filters, size, size), there are no groups."""
    x = r.image()
    size, stride, padding = read_window(s)
    filters = s.integer("filters", 1, least=1)
    return _read(
        r, s, x, "conv_transpose", (x.shape[1], filters, size, size),
        {"stride": stride, "padding": (padding, padding)}, filters,
    )  # fmt: skip


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


@reads("batchnorm")
def read_batchnorm(r: Reading, s: Section) -> Value:
    """Scales, mean and variance; upstream's file has no place for biases."""
    x = r.image()
    return r.chain(x, ("batch_norm", {**read_norm(r, s, x.shape[1]), "eps": 0.0}))


def _lacks_square(graph: Graph, node: Node) -> str | None:
    kernel, stride, padding = node.params["weight"].shape[2:], node.attrs["stride"], node.attrs["padding"]
    if not is_image(graph, node.inputs[0]):
        return "the layer that holds its input has another shape, and Darknet has no layer that reshapes"
    if kernel[0] != kernel[1]:
        return f"a Darknet kernel is square, this one is {kernel[0]}x{kernel[1]}"
    if stride[0] != stride[1] or padding[0] != padding[1]:
        return "Darknet has one stride and one padding for both directions"
    if tuple(node.attrs["dilation"]) != (1, 1) and kernel[0] > 1:
        return "a Darknet kernel has no dilation"
    return None


def _lacks_conv(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    reason = _lacks_square(graph, node)
    if reason or dialect["strided_pointwise"] or node.params["weight"].shape[2] > 1:
        return reason
    if node.attrs["stride"][0] > 1 or node.attrs["padding"][0] > 0:
        return "upstream Darknet ignores stride and padding of a 1x1 kernel"
    return None


def _lacks_transpose(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if is_nearest(graph, node):
        return None
    reason = _lacks_square(graph, node)
    if reason:
        return reason
    if node.attrs["groups"] != 1:
        return "[deconvolutional] has no groups"
    if any(node.attrs["output_padding"]):
        return "[deconvolutional] has no output padding"
    return (
        None if dialect["deconvolutional"] else "upstream Darknet crashes when it loads a [deconvolutional]"
    )


def is_nearest(graph: Graph, node: Node) -> bool:
    """Whether a transposed convolution just repeats every cell: [upsample]."""
    weight, attrs = node.params["weight"], node.attrs
    kernel = weight.shape[2]
    return (
        is_image(graph, node.inputs[0])
        and attrs["groups"] == weight.shape[0]
        and weight.shape[1:] == (1, kernel, kernel)
        and tuple(attrs["stride"]) == (kernel, kernel)
        and not any((*attrs["padding"], *attrs["output_padding"]))
        and tuple(attrs["dilation"]) == (1, 1)
        and "bias" not in node.params
        and bool((weight == 1).all())
    )


@writes("conv", lacks=_lacks_conv)
def write_conv(w: Writing, unit: Unit) -> None:
    """One section for the convolution and what follows it."""
    w.use(unit.head.inputs[0])
    attrs, weight = unit.head.attrs, unit.head.params["weight"]
    options: dict[str, Any] = {"batch_normalize": 1} if unit.norm else {}
    options["filters"] = weight.shape[0]
    if attrs["groups"] > 1:
        options["groups"] = attrs["groups"]
    options |= {"size": weight.shape[2], "stride": attrs["stride"][0], "padding": attrs["padding"][0]}
    options["activation"] = unit.activation
    w.section("convolutional", unit, options, *_vectors(unit, weight.shape[0]), weight)


@writes("conv_transpose", lacks=_lacks_transpose)
def write_conv_transpose(w: Writing, unit: Unit) -> None:
    """[deconvolutional], or [upsample] for one that repeats cells."""
    w.use(unit.head.inputs[0])
    attrs, weight = unit.head.attrs, unit.head.params["weight"]
    if len(unit.nodes) == 1 and is_nearest(w.graph, unit.head):
        w.section("upsample", unit, {"stride": weight.shape[2]})
        return
    options: dict[str, Any] = {"batch_normalize": 1} if unit.norm else {}
    options |= {"filters": weight.shape[1], "size": weight.shape[2], "stride": attrs["stride"][0]}
    options |= {"padding": attrs["padding"][0], "activation": unit.activation}
    w.section("deconvolutional", unit, options, *_vectors(unit, weight.shape[1]), weight)


def _vectors(unit: Unit, filters: int) -> tuple[Array, ...]:
    bias = unit.head.params.get("bias")
    if unit.norm is None:
        return (np.zeros(filters, FLOAT) if bias is None else bias,)
    return to_darknet(unit.norm, scale=unit.scale, bias=bias)


def _lacks_norm(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if not has_channels(graph, node.inputs[0]):
        return "axis 1 of its input is not the channel of the Darknet layer that holds it"
    return lacks_variance(node)


def _lacks_scale(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if not has_channels(graph, node.inputs[0]):
        return "axis 1 of its input is not the channel of the Darknet layer that holds it"
    return None if is_channel_scale(graph, node) else "Darknet scales whole channels only"


@writes("batch_norm", lacks=_lacks_norm)
def write_batch_norm(w: Writing, unit: Unit) -> None:
    """A batch norm without a convolution: one of 1x1 kernels of 1, a group per channel.

    Upstream's own [batchnorm] has no biases, and does not run on a CPU.
    """
    assert unit.norm is not None
    _write_depthwise(w, unit, {"batch_normalize": 1}, to_darknet(unit.norm, scale=unit.scale), None)


@writes("scale", lacks=_lacks_scale)
def write_scale(w: Writing, unit: Unit) -> None:
    """x * weight + bias per channel: a 1x1 convolution with a group per channel."""
    bias = unit.head.params.get("bias", np.zeros((), FLOAT))
    channels = w.graph.value(unit.head.inputs[0]).shape[1]
    _write_depthwise(w, unit, {}, (np.broadcast_to(bias, (channels,)),), unit.head.params.get("weight"))


def _write_depthwise(
    w: Writing, unit: Unit, options: dict[str, Any], vectors: tuple[Array, ...], weight: Array | None
) -> None:
    w.use(unit.head.inputs[0])
    channels = w.graph.value(unit.head.inputs[0]).shape[1]
    weight = np.broadcast_to(np.ones((), FLOAT) if weight is None else weight, (channels,))
    options |= {"filters": channels, "groups": channels, "size": 1, "stride": 1, "padding": 0}
    w.section("convolutional", unit, {**options, "activation": unit.activation}, *vectors, weight)
