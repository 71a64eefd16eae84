"""[power], [clip] and [prelu]: each value by itself, by numbers of the cfg or slopes of the weights file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit, activation_of
from mgn_convert.formats.darknet.layout import bounds, channels_first, is_free
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.activation import write_activation
from mgn_convert.formats.darknet.weights import FLOAT
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value


@reads("power")
def read_power(r: Reading, s: Section) -> Value:
    """(shift + scale * x) ^ power."""
    fields = {"power": s.number("power", 1), "scale": s.number("scale", 1), "shift": s.number("shift", 0)}
    return r.result("power", r.map(), **fields)


@reads("clip")
def read_clip(r: Reading, s: Section) -> Value:
    """One bound or both."""
    if not (s.has("min") or s.has("max")):
        raise s.error("[clip] needs min= or max=", remedy="add one of them")
    low, high = s.number("min", -math.inf), s.number("max", math.inf)
    if low > high:
        raise s.error("min is at most max", key="min", because=f"max is {high:g}", remedy="correct a number")
    return r.result("clip", r.map(), min=low, max=high)


@reads("prelu")
def read_prelu(r: Reading, s: Section) -> Value:
    """One slope per channel, or one for all."""
    x = r.map()
    shape = () if s.switch("shared") else (x.shape[1],)
    return r.result("prelu", x, weight=r.take("slopes", *shape))


def _lacks_power(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    numbers = [node.attrs[key] for key in ("power", "scale", "shift")]
    if not all(map(math.isfinite, numbers)):
        return "the numbers of a cfg are finite"
    return None if dialect["own_layers"] or is_free(graph, node) else "Darknet has no powers"


def _lacks_clip(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if is_free(graph, node) or activation_of(node, own=dialect["own_layers"]):
        return None
    low, high = bounds(node)
    if low is not None and high is not None and low > high:
        return "a [clip] has a minimum that is at most its maximum"
    return None if dialect["own_layers"] else "upstream Darknet clips to -1..1 only"


def _lacks_prelu(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    return None if dialect["own_layers"] else "upstream Darknet has no slopes of its own for each channel"


@writes("power", lacks=_lacks_power, sections=("power",))
def write_power(w: Writing, unit: Unit) -> None:
    """[power]; x^1 is no section."""
    node = unit.head
    w.use(node.inputs[0])
    wanted = {"power": 1.0, "scale": 1.0, "shift": 0.0}
    options = {key: float(node.attrs[key]) for key, usual in wanted.items() if node.attrs[key] != usual}
    w.section("power", unit, options, shape=w.shape(node.inputs[0]))


@writes("clip", lacks=_lacks_clip, sections=("clip", "activation"))
def write_clip(w: Writing, unit: Unit) -> None:
    """[clip], or hardtan and relu6."""
    node = unit.head
    if activation_of(node, own=w.own):
        write_activation(w, unit)
        return
    w.use(node.inputs[0])
    options = {key: n for key, n in zip(("min", "max"), bounds(node), strict=True) if n is not None}
    w.section("clip", unit, options, shape=w.shape(node.inputs[0]))


@writes("prelu", lacks=_lacks_prelu, sections=("prelu",))
def write_prelu(w: Writing, unit: Unit) -> None:
    """A slope for all goes with any layer; one each needs axis 1 as channels."""
    node, slopes = unit.head, unit.head.params["weight"]
    view = w.shape(node.inputs[0])
    if slopes.ndim:
        view = channels_first(node.shape)
    w.use(node.inputs[0], view)
    options = {} if slopes.ndim else {"shared": 1}
    w.section("prelu", unit, options, np.asarray(slopes, FLOAT), shape=view)
