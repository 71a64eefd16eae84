"""[reduce]: one value for all cells along some axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import RESHAPED, arranged, is_image
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.rules.pool import lacks_max_pool, write_avg_pool, write_max_pool
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value

_KINDS = ("mean", "sum", "max", "asum", "sumsq")


def read_axes(s: Section, key: str) -> tuple[int, ...]:
    """Axes of the graph for letters with commas between."""
    letters = s.text(key, "").split(",")
    if not set(letters) <= set("chw") or len(set(letters)) != len(letters):
        raise s.error(
            f"{key} is c, h or w, several with commas between", key=key, remedy="correct the letters"
        )
    return tuple(1 + "chw".index(letter) for letter in letters)


@reads("reduce")
def read_reduce(r: Reading, s: Section) -> Value:
    """The axes keep the size 1."""
    x, kind = r.map(), s.text("kind", "")
    if kind not in _KINDS:
        raise s.error("kind is one of " + ", ".join(_KINDS), key="kind", remedy="name one of them")
    return r.result("reduce", x, kind=kind, axes=tuple(sorted(read_axes(s, "axes"))), keepdims=True)


def _axes(node: Node, graph: Graph) -> tuple[int, ...]:
    rank = len(graph.value(node.inputs[0]).shape)
    return tuple(sorted({axis % rank for axis in node.attrs["axes"]}))


def _is_pool(graph: Graph, node: Node) -> bool:
    rank = len(graph.value(node.inputs[0]).shape)
    return rank == 4 and _axes(node, graph) == (2, 3) and node.attrs["kind"] in ("mean", "max")


def _lacks_reduce(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if dialect["own_layers"]:
        found = arranged(graph.value(node.inputs[0]).shape, _axes(node, graph))
        return (
            None
            if found
            else "a [reduce] goes over axes of one image that are at most three, with the others"
        )
    if not _is_pool(graph, node):
        return "upstream Darknet reduces by mean and by max, over height and width together"
    if not is_image(graph, node.inputs[0]):
        return RESHAPED
    return lacks_max_pool(graph, node, dialect) if node.attrs["kind"] == "max" else None


@writes("reduce", lacks=_lacks_reduce, sections=("reduce", "avgpool", "maxpool"))
def write_reduce(w: Writing, unit: Unit) -> None:
    """[avgpool] and [maxpool] for mean and max of the whole map, else [reduce]."""
    node = unit.head
    if _is_pool(w.graph, node):
        write = write_max_pool if node.attrs["kind"] == "max" else write_avg_pool
        write(w, unit)
        return
    found = arranged(w.graph.value(node.inputs[0]).shape, _axes(node, w.graph))
    assert found is not None
    view, letters = found
    w.use(node.inputs[0], view)
    options = {"kind": node.attrs["kind"], "axes": ",".join(letters)}
    shape = tuple(1 if letter in letters else n for letter, n in zip("chw", view, strict=True))
    w.section("reduce", unit, options, shape=shape)
