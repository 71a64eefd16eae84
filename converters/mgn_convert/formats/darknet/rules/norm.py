"""[batchnorm], [instancenorm], [l2norm] and [scale]; batch norm and scale as convolutions of upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit, is_channel_scale
from mgn_convert.formats.darknet.layout import arranged, channels_first, has_channels
from mgn_convert.formats.darknet.normalize import lacks_variance, to_darknet
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.conv import read_norm
from mgn_convert.formats.darknet.weights import FLOAT
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Array, Graph, Node, Shape, Value

_NO_CHANNELS = "axis 1 of its input is not the channel of the Darknet layer that holds it"
_KEYS = {"weight": "weights", "bias": "biases"}


@reads("batchnorm")
def read_batchnorm(r: Reading, s: Section) -> Value:
    """[biases], scales, mean and variance. With eps the divisor is sqrt(variance + eps)."""
    own = s.has("biases") or s.has("eps")
    x = r.map() if own else r.image()
    count = x.shape[1]
    fields: dict[str, Any] = {"eps": 0.0}
    if s.switch("biases"):
        fields["bias"] = r.take("biases", count)
    if not s.has("eps"):
        return r.result("batch_norm", x, **fields, **read_norm(r, s, count))
    fields["eps"] = _read_eps(s, 0)
    weight, mean, var = (r.take(what, count) for what in ("scales", "mean", "variance"))
    return r.result("batch_norm", x, weight=weight, mean=mean, var=var, **fields)


@reads("instancenorm")
def read_instancenorm(r: Reading, s: Section) -> Value:
    """[scales, biases]."""
    x = r.map()
    fields: dict[str, Any] = {"eps": _read_eps(s, 1e-5)}
    if not s.has("affine") or s.switch("affine"):
        fields |= {"weight": r.take("scales", x.shape[1]), "bias": r.take("biases", x.shape[1])}
    return r.result("instance_norm", x, **fields)


def _read_eps(s: Section, default: float) -> float:
    eps = s.number("eps", default)
    if eps < 0:
        raise s.error("eps is at least 0", key="eps", remedy="correct the number")
    return eps


@reads("l2norm")
def read_l2norm(r: Reading, s: Section) -> Value:
    """x / sqrt(sum over the channels of x^2), for each cell."""
    x = r.image()
    length = r.add("power", r.add("reduce", x, kind="sumsq", axes=(1,), keepdims=True), power=0.5)
    return r.result("div", x, length)


@reads("scale")
def read_scale(r: Reading, s: Section) -> Value:
    """x * weight + bias over a run of axes."""
    x = r.map()
    letters = s.text("axes", "c")
    if letters not in ("c", "h", "w", "c,h", "h,w", "c,h,w"):
        raise s.error("axes is a run of c,h,w", key="axes", remedy="one of c h w c,h h,w c,h,w")
    axis = 1 + "chw".index(letters[0])
    shape = x.shape[axis : axis + len(letters.split(","))]
    fields = {what: r.take(key, *shape) for what, key in _KEYS.items() if not s.has(key) or s.switch(key)}
    if not fields:
        raise s.error("[scale] has weights or biases", remedy="remove weights=0 or biases=0")
    return r.result("scale", x, axis=axis, **fields)


def _lacks_norm(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if not dialect["own_layers"] and not has_channels(graph, node.inputs[0]):
        return _NO_CHANNELS
    return lacks_variance(node)


def _span(node: Node) -> tuple[Shape, tuple[int, ...]]:
    """The shape of the longer one of weight and bias, and the axes that it goes over."""
    shape = max((array.shape for array in node.params.values()), key=len)
    first = node.attrs["axis"] % len(node.shape)
    return shape, tuple(range(first, first + len(shape)))


def _lacks_scale(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if dialect["own_layers"]:
        shape, axes = _span(node)
        fits = not shape or (0 not in axes and arranged(node.shape, axes) is not None)
        return None if fits else "a [scale] is the same for every image of the batch"
    if not has_channels(graph, node.inputs[0]):
        return _NO_CHANNELS
    return None if is_channel_scale(graph, node) else "Darknet scales whole channels only"


@writes("batch_norm", lacks=_lacks_norm, sections=("batchnorm",))
def write_batch_norm(w: Writing, unit: Unit) -> None:
    """[batchnorm] with eps and biases.

    Upstream's own has no biases, and does not run on a CPU: there it is a convolution of 1x1 kernels of 1, a
    group per channel.
    """
    node = unit.norm
    assert node is not None
    if not w.own:
        _write_depthwise(w, unit, {"batch_normalize": 1}, to_darknet(node, scale=unit.scale), None)
        return
    view, affine, count = channels_first(node.shape), unit.scale or node, node.shape[1]
    w.use(node.inputs[0], view)
    bias = affine.params.get("bias")
    weight = np.broadcast_to(affine.params.get("weight", np.ones((), FLOAT)), (count,))
    arrays = [] if bias is None else [np.broadcast_to(bias, (count,))]
    arrays += [weight, node.params["mean"], node.params["var"]]
    options = {"biases": int(bias is not None), "eps": float(node.attrs["eps"])}
    w.section("batchnorm", unit, options, *arrays, shape=view)


@writes("instance_norm", lacks=lambda graph, node, dialect: None, sections=("instancenorm",), own=True)
def write_instance_norm(w: Writing, unit: Unit) -> None:
    """[instancenorm]; what is missing of scales and biases is written as ones or zeros."""
    node = unit.head
    w.use(node.inputs[0], node.shape[1:])
    options: dict[str, Any] = {"eps": float(node.attrs["eps"])}
    arrays: list[Array] = []
    if node.params:
        count = node.shape[1]
        arrays = [
            node.params.get("weight", np.ones(count, FLOAT)),
            node.params.get("bias", np.zeros(count, FLOAT)),
        ]
    else:
        options["affine"] = 0
    w.section("instancenorm", unit, options, *arrays, shape=node.shape[1:])


@writes("scale", lacks=_lacks_scale, sections=("scale", "power"))
def write_scale(w: Writing, unit: Unit) -> None:
    """[scale]; [power] for single numbers. Upstream: a 1x1 convolution with a group per channel."""
    node = unit.head
    if not w.own:
        bias = node.params.get("bias", np.zeros((), FLOAT))
        channels = w.graph.value(node.inputs[0]).shape[1]
        _write_depthwise(w, unit, {}, (np.broadcast_to(bias, (channels,)),), node.params.get("weight"))
        return
    shape, axes = _span(node)
    if not shape:
        names = {"weight": "scale", "bias": "shift"}
        numbers = {names[key]: float(array) for key, array in node.params.items()}
        w.use(node.inputs[0])
        w.section("power", unit, numbers, shape=w.shape(node.inputs[0]))
        return
    found = arranged(node.shape, axes)
    assert found is not None
    view, letters = found
    w.use(node.inputs[0], view)
    options: dict[str, Any] = {"axes": ",".join(letters)}
    options |= {key: 0 for what, key in _KEYS.items() if what not in node.params}
    arrays = [node.params[what] for what in _KEYS if what in node.params]
    w.section("scale", unit, options, *(_spread(array, shape) for array in arrays), shape=view)


def _spread(array: Array, shape: Shape) -> Array:
    """An array that spans the first of the axes, or none, over all of them."""
    return np.broadcast_to(array.reshape(array.shape + (1,) * (len(shape) - array.ndim)), shape)


def _write_depthwise(
    w: Writing, unit: Unit, options: dict[str, Any], vectors: tuple[Array, ...], weight: Array | None
) -> None:
    value = unit.head.inputs[0]
    w.use(value)
    channels = w.graph.value(value).shape[1]
    weight = np.broadcast_to(np.ones((), FLOAT) if weight is None else weight, (channels,))
    options |= {"filters": channels, "groups": channels, "size": 1, "stride": 1, "padding": 0}
    w.section("convolutional", unit, {**options, **unit.activation}, *vectors, weight, shape=w.shape(value))
