"""Gelu, where a file has it as 0.5 x (1 + erf(x / sqrt(2))), multiplied in any order.

There is no other use for erf in the graph: what leads up to the gelu is a Pending, and only the whole of it
becomes a node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mgn_convert.formats.onnx.reading.registry import Operand, Pending, reads
from mgn_convert.formats.onnx.reading.spec import NodeReader, number
from mgn_convert.graph import Value

_CLOSE = 1e-6


@dataclass(frozen=True)
class ErfTerm(Pending):
    """factor * (erf(x / sqrt(2)) + shift) * x, the last only if `times_x`."""

    x: Value
    factor: float = 1.0
    shift: float = 0.0
    times_x: bool = False


@reads("Erf")
def erf(c: NodeReader) -> ErfTerm:
    x, factor = _multiple(c, c.x)
    if not math.isclose(factor * math.sqrt(2), 1, rel_tol=_CLOSE):
        raise _unknown(c)
    return ErfTerm("Erf", x)


@reads("Identity", "Cast", given=ErfTerm)
def copy(c: NodeReader) -> Operand:
    return c.given(0)


@reads("Add", given=ErfTerm)
def add(c: NodeReader) -> ErfTerm:
    term, other = _sides(c)
    shift = number(other)
    if shift != 1 or term != ErfTerm("Erf", term.x):
        raise _unknown(c)
    return replace(term, shift=1.0)


@reads("Mul", given=ErfTerm)
def mul(c: NodeReader) -> Value | ErfTerm:
    term, other = _sides(c)
    factor = number(other)
    if factor is None and isinstance(other, Value) and not term.times_x:
        x, factor = _multiple(c, other)
        if x is not term.x:
            raise _unknown(c)
        term = replace(term, times_x=True)
    if factor is None:
        raise _unknown(c)
    return _whole(c, replace(term, factor=term.factor * factor))


@reads("Div", given=ErfTerm)
def div(c: NodeReader) -> Value | ErfTerm:
    term, divisor = c.given(0), number(c.given(1))
    if not isinstance(term, ErfTerm) or not divisor:
        raise _unknown(c)
    return _whole(c, replace(term, factor=term.factor / divisor))


def _whole(c: NodeReader, term: ErfTerm) -> Value | ErfTerm:
    """The gelu, once all of it is there."""
    if term.shift != 1:
        raise _unknown(c)
    if term.times_x and math.isclose(term.factor, 0.5, rel_tol=_CLOSE):
        return c.add("gelu", term.x)
    return term


def _sides(c: NodeReader) -> tuple[ErfTerm, Operand]:
    for index in (0, 1):
        term = c.given(index)
        if isinstance(term, ErfTerm):
            return term, c.given(1 - index)
    raise _unknown(c)


def _multiple(c: NodeReader, x: Value) -> tuple[Value, float]:
    """(y, factor) where x is factor * y, else x itself and 1."""
    made = c.maker(x)
    if made is None or made.op != "power" or set(made.fields) != {"scale"}:
        return x, 1.0
    return made.inputs[0], float(made.fields["scale"])


def _unknown(c: NodeReader) -> Exception:
    return c.refuse("Erf is known within 0.5 * x * (1 + erf(x / sqrt(2))) alone", "torch.nn.GELU")
