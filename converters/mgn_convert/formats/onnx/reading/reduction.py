"""Reductions over axes."""

from __future__ import annotations

from mgn_convert.formats.onnx.reading.registry import reads
from mgn_convert.formats.onnx.reading.spec import NodeReader
from mgn_convert.graph import Value

_KINDS = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "max",
    "ReduceL1": "asum",
    "ReduceSumSquare": "sumsq",
}


@reads(*_KINDS)
def reduce(c: NodeReader) -> Value:
    axes = _axes(c)
    return c.add("reduce", c.x, kind=_KINDS[c.node.op_type], axes=axes, keepdims=_keeps(c)) if axes else c.x


@reads("ReduceMin")
def reduce_min(c: NodeReader) -> Value:
    """-max(-x)."""
    axes = _axes(c)
    if not axes:
        return c.x
    negated = c.step("power", c.x, scale=-1.0, suffix="negated")
    return c.add("power", c.step("reduce", negated, kind="max", axes=axes, keepdims=_keeps(c)), scale=-1.0)


@reads("ReduceL2")
def reduce_l2(c: NodeReader) -> Value:
    axes = _axes(c)
    if not axes:
        return c.add("abs", c.x)
    squares = c.step("reduce", c.x, kind="sumsq", axes=axes, keepdims=_keeps(c))
    return c.add("power", squares, power=0.5)


@reads("ReduceLogSum")
def reduce_log_sum(c: NodeReader) -> Value:
    axes = _axes(c)
    if not axes:
        return c.add("log", c.x)
    return c.add("log", c.step("reduce", c.x, kind="sum", axes=axes, keepdims=_keeps(c)))


def _axes(c: NodeReader) -> tuple[int, ...]:
    """All axes where none is given, unless the node says that this means none."""
    given = c.integers("axes", 1)
    if not given:
        if int(c.attributes.get("noop_with_empty_axes", 0)):
            return ()
        given = tuple(range(len(c.x.shape)))
    return tuple(sorted({c.axis(axis, c.x) for axis in given}))


def _keeps(c: NodeReader) -> bool:
    return bool(c.attributes.get("keepdims", 1))
