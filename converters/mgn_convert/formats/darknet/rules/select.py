"""[unpool] and [topk]: what goes where depends on the values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import channels_first
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.pool import rectangular_options
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value


@reads("unpool")
def read_unpool(r: Reading, s: Section) -> Value:
    """`from` is the [maxpool] whose largest cells are meant."""
    (number,) = s.integers("from")[:1]
    x, index = r.map(), r.layer_index(number)
    if index not in r.pools:
        raise s.error("from names a [maxpool]", key="from", remedy="the number of a [maxpool]")
    source, attrs = r.pools[index]
    if any(attrs["padding"]):
        raise s.error("no rule reads an [unpool] of a pool with padding", key="from")
    return r.result("max_unpool", x, source, kernel=attrs["kernel"], stride=attrs["stride"])


@reads("topk")
def read_topk(r: Reading, s: Section) -> Value:
    """The k channels with the largest scores."""
    x, k = r.map(), s.integer("k", None, least=1)
    return r.result("top_channels", x, r.vector(r.source), k=k)


def _lacks_nothing(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    return None


@writes("max_unpool", lacks=_lacks_nothing, sections=("unpool",), own=True)
def write_unpool(w: Writing, unit: Unit) -> None:
    """[unpool] of the [maxpool] that reads the same value; where there is none, one is made for it."""
    node = unit.head
    values, source = node.inputs
    window = {"kernel": tuple(node.attrs["kernel"]), "stride": tuple(node.attrs["stride"])}
    window["padding"] = (0, 0, 0, 0)
    pools = [n for n in w.graph.consumers(source) if n.op == "max_pool" and w.has(n.name)]
    same = [n for n in pools if all(tuple(n.attrs[key]) == value for key, value in window.items())]
    if same:
        pool = w.layer(same[0].name)
    else:
        w.use(source, node.shape[1:])
        shape = w.graph.value(values).shape[1:]
        pool = w.helper("maxpool", rectangular_options(window), shape)
    w.use(values, w.graph.value(values).shape[1:])
    w.section("unpool", unit, {"from": pool}, shape=node.shape[1:])


@writes("top_channels", lacks=_lacks_nothing, sections=("topk",), own=True)
def write_topk(w: Writing, unit: Unit) -> None:
    """[topk]; the scores may be in a layer of any shape."""
    node = unit.head
    values, scores = node.inputs
    of = w.layer(scores)
    w.use(values, channels_first(w.graph.value(values).shape))
    w.section("topk", unit, {"k": node.attrs["k"], "from": of}, shape=channels_first(node.shape))
