"""How an op is specified, and the registry of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mgn_convert.errors import GraphError
from mgn_convert.graph.types import Array, Shape

Attrs = Mapping[str, Any]
Params = Mapping[str, Array]
Infer = Callable[[Sequence[Shape], Attrs, Params], Shape]
Evaluate = Callable[[Sequence[Array], Attrs, Params], Array]


@dataclass(frozen=True)
class OpSpec:
    """One op: how many inputs it has, its attributes with defaults, its weights, and its two functions.

    arity: exact number of inputs, or None for one or more.
    attrs: name -> default; REQUIRED where there is none.
    params: name -> whether the op cannot do without it.
    """

    name: str
    arity: int | None
    attrs: Mapping[str, Any]
    params: Mapping[str, bool]
    infer: Infer
    evaluate: Evaluate

    def complete(self, attrs: Mapping[str, Any], params: Params, count: int) -> dict[str, Any]:
        """`attrs` with defaults filled in. Raises GraphError when something is missing or surplus."""
        if (self.arity is None and count < 1) or (self.arity is not None and count != self.arity):
            raise GraphError(f"takes {self.arity or 'one or more'} inputs", got=str(count))
        unknown = sorted(set(attrs) - set(self.attrs))
        if unknown:
            raise GraphError(f"has no field {unknown[0]!r}", because=f"it has {[*self.attrs, *self.params]}")
        full = {**self.attrs, **attrs}
        missing = [k for k, v in full.items() if v is REQUIRED]
        missing += [k for k, needed in self.params.items() if needed and k not in params]
        if missing:
            raise GraphError(f"needs {missing[0]!r}")
        return full


REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()
OPS: dict[str, OpSpec] = {}


def op(
    name: str,
    *,
    infer: Infer,
    arity: int | None = 1,
    attrs: Mapping[str, Any] | None = None,
    params: Mapping[str, bool] | None = None,
) -> Callable[[Evaluate], Evaluate]:
    """Register the decorated NumPy evaluation as the op `name`."""

    def register(evaluate: Evaluate) -> Evaluate:
        OPS[name] = OpSpec(name, arity, attrs or {}, params or {}, infer, evaluate)
        return evaluate

    return register


def require(condition: bool, rule: str, got: object) -> None:
    """Raise GraphError(rule, got) unless the condition holds."""
    if not condition:
        raise GraphError(rule, got=str(got))


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis. Raises GraphError when there is no such axis."""
    require(-rank <= axis < rank, f"axis must be within a value of {rank} axes", axis)
    return axis % rank
