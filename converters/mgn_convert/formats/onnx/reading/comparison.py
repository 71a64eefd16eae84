"""Numbers compared with a constant, where the answer is used as 1 and 0."""

from __future__ import annotations

from dataclasses import dataclass

from mgn_convert.formats.onnx.reading.registry import Pending, reads
from mgn_convert.formats.onnx.reading.spec import NodeReader, number
from mgn_convert.graph import Value

_FLOATS = (1, 10, 11, 16)


@dataclass(frozen=True)
class Above(Pending):
    """Whether sign * x > sign * limit."""

    x: Value
    sign: float
    limit: float


@reads("Greater", "Less")
def compare(c: NodeReader) -> Above:
    first = c.given(0)
    x, other = (first, c.given(1)) if isinstance(first, Value) else (c.value_at(1), first)
    limit = number(other)
    if limit is None:
        raise c.refuse("it compares with something else than one number")
    greater = (c.node.op_type == "Greater") == (x is first)
    return Above(c.node.op_type, x, 1.0 if greater else -1.0, limit)


@reads("Cast", given=Above)
def as_number(c: NodeReader) -> Value:
    answer = c.given(0)
    assert isinstance(answer, Above)
    if int(c.attributes.get("to", 1)) not in _FLOATS:
        raise c.refuse("it turns a comparison into something else than floating point numbers")
    x = answer.x if answer.sign > 0 else c.step("power", answer.x, scale=-1.0, suffix="negated")
    return c.add("threshold", x, threshold=answer.sign * answer.limit)
