"""[slice] cuts a layer.

slice_axis is 2 for height, 1 for width, 0 or 3 for channels. Either slice_num, the number of cuts into equal
parts, with slice_pos, the part that is wanted; or slice_begin and slice_end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import Unit
from mgn_convert.formats.darknet.layout import arranged, is_free
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value

_GRAPH_AXIS = {0: 1, 1: 3, 2: 2, 3: 1}
_DARKNET_AXIS = {"c": 0, "h": 2, "w": 1}


@reads("slice")
def read_slice(r: Reading, s: Section) -> Value:
    """(N, C, H, W) to a part of it."""
    x = r.image()
    axis = _GRAPH_AXIS.get(s.integer("slice_axis", None))
    if axis is None:
        raise s.error(
            "slice_axis is 2 for height, 1 for width, 0 or 3 for channels",
            key="slice_axis",
            remedy="one of these",
        )
    extent = x.shape[axis]
    if s.has("slice_begin") or s.has("slice_end"):
        start, stop = _ends(s, extent)
    else:
        parts, part = s.integer("slice_num", None) + 1, s.integer("slice_pos", None)
        if extent % parts or part >= parts:
            raise s.error(
                "slice_num cuts into equal parts, and slice_pos is one of them",
                key="slice_pos" if part >= parts else "slice_num",
                because=f"{parts} parts of {extent} cells",
                remedy="slice_begin and slice_end cut anywhere",
            )
        start, stop = part * (extent // parts), (part + 1) * (extent // parts)
    if not start < stop <= extent:
        raise s.error(
            "slice_begin comes before slice_end",
            key="slice_end",
            because=f"{start} to {stop} of {extent} cells",
            remedy="correct the numbers",
        )
    return r.result("slice", x, axis=axis, start=start, stop=stop)


def _ends(s: Section, extent: int) -> tuple[int, int]:
    """Negative numbers count from the end."""
    start, stop = s.integer("slice_begin", 0, least=-extent), s.integer("slice_end", extent, least=-extent)
    return start if start >= 0 else extent + start, stop if stop >= 0 else extent + stop


def _lacks_slice(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if is_free(graph, node):
        return None
    if not dialect["slice"]:
        return "upstream Darknet has no layer that cuts"
    return None if node.attrs["axis"] % len(node.shape) else "Darknet does not cut the batch"


@writes("slice", lacks=_lacks_slice, sections=("slice",))
def write_slice(w: Writing, unit: Unit) -> None:
    """One section per part; equal parts by their number."""
    node = unit.head
    axis = node.attrs["axis"] % len(node.shape)
    found, after = (arranged(shape, (axis,)) for shape in (w.graph.value(node.inputs[0]).shape, node.shape))
    assert found is not None
    assert after is not None
    view, (letter,) = found
    w.use(node.inputs[0], view)
    extent, start, stop = w.graph.value(node.inputs[0]).shape[axis], node.attrs["start"], node.attrs["stop"]
    size = stop - start
    options: dict[str, Any] = {"slice_axis": _DARKNET_AXIS[letter]}
    if extent % size == 0 and start % size == 0:
        options |= {"slice_num": extent // size - 1, "slice_pos": start // size}
    else:
        options |= {"slice_begin": start, "slice_end": stop}
    w.section("slice", unit, options, shape=after[0])
