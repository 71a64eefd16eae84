"""[connected] and [softmax], which read a layer as one vector, in C, H, W order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import arranged
from mgn_convert.formats.darknet.normalize import to_darknet
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.activation import activation_steps
from mgn_convert.formats.darknet.rules.conv import read_norm
from mgn_convert.formats.darknet.rules.reduce import read_axes
from mgn_convert.formats.darknet.weights import FLOAT
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value


@reads("connected")
def read_connected(r: Reading, s: Section) -> Value:
    """Biases, (output, inputs), then with batch_normalize scales, mean and variance. Gives (N, output)."""
    x = r.vector()
    count, inputs = s.integer("output", 1, least=1), x.shape[1]
    bias = r.take("biases", count)
    shape = (inputs, count) if r.weights.transposed else (count, inputs)
    weight = r.take("weights", *shape)
    weight = weight.T if r.weights.transposed else weight
    acts = activation_steps(s, "logistic")
    if not s.switch("batch_normalize"):
        return r.chain(x, ("linear", {"weight": weight, "bias": bias}), *acts)
    norm = {**read_norm(r, s, count), "bias": bias, "eps": 0.0}
    return r.chain(x, ("linear", {"weight": weight}), ("batch_norm", norm), *acts)


@reads("softmax")
def read_softmax(r: Reading, s: Section) -> Value:
    """Over each of `groups` equal stretches: of an axis, or of the vector, which gives (N, K)."""
    groups, temperature = s.integer("groups", 1, least=1), s.number("temperature", 1)
    s.skip(("noloss",))
    s.refuse(("tree",), "upstream's CPU code ignores it")
    spatial = s.switch("spatial")
    along = s.has("axis") or spatial
    x = r.map() if along else r.vector()
    (axis, *others) = read_axes(s, "axis") if s.has("axis") else (1,)
    if others or (spatial and axis != 1):
        raise s.error("axis is one of c, h and w, and c with spatial=1", key="axis", remedy="one letter")
    length = x.shape[axis]
    if length % groups or temperature < 1e-30:
        raise s.error(
            "groups divides the values and temperature is positive",
            key="groups" if length % groups else "temperature",
            because=f"there are {length} values",
        )
    steps: list[tuple[str, Mapping[str, Any]]] = []
    if temperature != 1:
        steps.append(("power", {"scale": 1 / temperature}))
    if groups == 1:
        steps.append(("softmax", {"axis": axis}))
    else:
        shape = (*x.shape[1:axis], groups, length // groups, *x.shape[axis + 1 :])
        steps += [("reshape", {"shape": (0, *shape)}), ("softmax", {"axis": axis + 1})]
        steps.append(("reshape", {"shape": (0, *x.shape[1:])}))
    value = r.chain(x, *steps)
    return value if along else r.mark_vector(value)


def _lacks_linear(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    return None if len(node.shape) == 2 else "[connected] reads the whole layer, so its input is (N, K)"


@writes("linear", lacks=_lacks_linear, sections=("connected",))
def write_linear(w: Writing, unit: Unit) -> None:
    """[connected]; unlike in [convolutional], the numbers of the batch norm come last."""
    w.use(unit.head.inputs[0])
    weight, bias = unit.head.params["weight"], unit.head.params.get("bias")
    count = weight.shape[0]
    options: dict[str, Any] = {"batch_normalize": 1} if unit.norm else {}
    options |= {"output": count, **unit.activation}
    if unit.norm:
        beta, *norm = to_darknet(unit.norm, scale=unit.scale, bias=bias)
        arrays = [beta, weight, *norm]
    else:
        arrays = [np.zeros(count, FLOAT) if bias is None else bias, weight]
    w.section("connected", unit, options, *arrays, shape=(count, 1, 1))


def _lacks_softmax(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    axis = node.attrs["axis"] % len(node.shape)
    if axis and dialect["own_layers"]:
        return None
    if axis == 0 or math.prod(node.shape[axis + 1 :]) != 1:
        return "[softmax] goes over elements that lie side by side, as those of the last axis do"
    return None


@writes("softmax", lacks=_lacks_softmax, sections=("softmax",))
def write_softmax(w: Writing, unit: Unit) -> None:
    """Along its axis; upstream's goes over the whole layer, axes before the softmax's own being groups."""
    node = unit.head
    axis = node.attrs["axis"] % len(node.shape)
    if w.own:
        found = arranged(node.shape, (axis,))
        assert found is not None
        view, (letter,) = found
        w.use(node.inputs[0], view)
        w.section("softmax", unit, {"axis": letter}, shape=view)
        return
    w.use(node.inputs[0])
    groups, count = math.prod(node.shape[1:axis]), math.prod(node.shape[1:])
    w.section("softmax", unit, {"groups": groups} if groups > 1 else {}, shape=(count,))
