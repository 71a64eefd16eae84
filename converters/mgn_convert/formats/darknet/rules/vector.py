"""[connected] and [softmax], which read a layer as one vector, in C, H, W order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.normalize import to_darknet
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.activation import activation_steps
from mgn_convert.formats.darknet.rules.conv import read_norm
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
    """Over each of `groups` equal stretches of the vector. The result is (N, K)."""
    x, groups, temperature = r.vector(), s.integer("groups", 1, least=1), s.number("temperature", 1)
    s.skip(("noloss",))
    s.refuse(("spatial", "tree"), "upstream's CPU code ignores it")
    if x.shape[1] % groups or temperature <= 0:
        raise s.error(
            "groups divides the vector and temperature is positive",
            key="groups" if x.shape[1] % groups else "temperature",
            because=f"the vector has {x.shape[1]} elements",
        )
    cooled = ("scale", {"weight": np.asarray(1 / temperature)}) if temperature != 1 else None
    if groups == 1:
        return r.mark_vector(r.chain(x, cooled, ("softmax", {"axis": 1})))
    shape = (0, groups, x.shape[1] // groups)
    steps = (cooled, ("reshape", {"shape": shape}), ("softmax", {"axis": 2}), ("reshape", {"shape": (0, -1)}))
    return r.mark_vector(r.chain(x, *steps))


def _lacks_linear(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    return None if len(node.shape) == 2 else "[connected] reads the whole layer, so its input is (N, K)"


@writes("linear", lacks=_lacks_linear)
def write_linear(w: Writing, unit: Unit) -> None:
    """[connected]; unlike in [convolutional], the numbers of the batch norm come last."""
    w.use(unit.head.inputs[0])
    weight, bias = unit.head.params["weight"], unit.head.params.get("bias")
    options: dict[str, Any] = {"batch_normalize": 1} if unit.norm else {}
    options |= {"output": weight.shape[0], "activation": unit.activation}
    if unit.norm:
        beta, *norm = to_darknet(unit.norm, scale=unit.scale, bias=bias)
        w.section("connected", unit, options, beta, weight, *norm)
    else:
        bias = np.zeros(weight.shape[0], FLOAT) if bias is None else bias
        w.section("connected", unit, options, bias, weight)


def _lacks_softmax(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    axis = node.attrs["axis"] % len(node.shape)
    if axis == 0 or math.prod(node.shape[axis + 1 :]) != 1:
        return "[softmax] goes over elements that lie side by side, as those of the last axis do"
    return None


@writes("softmax", lacks=_lacks_softmax)
def write_softmax(w: Writing, unit: Unit) -> None:
    """Axes before the softmax's own become groups."""
    node = unit.head
    w.use(node.inputs[0])
    groups = math.prod(node.shape[1 : node.attrs["axis"] % len(node.shape)])
    w.section("softmax", unit, {"groups": groups} if groups > 1 else {})
