"""Which function reads nodes of which type. The files of this folder register theirs when imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mgn_convert.formats import import_all
from mgn_convert.graph import Array, Value

if TYPE_CHECKING:
    from mgn_convert.formats.onnx.reading.spec import NodeReader


@dataclass(frozen=True)
class Pending:
    """What a node made that is no value of the graph. `made_by` names it in messages."""

    made_by: str


Operand = Value | Array | Pending | None
Result = Operand | tuple[Operand, ...]
Rule = Callable[["NodeReader"], Result]
Reads = TypeVar("Reads", bound=Rule)
RULES: dict[str, Rule] = {}
PENDING_RULES: dict[tuple[str, type[Pending]], Rule] = {}


def reads(*types: str, given: type[Pending] | None = None) -> Callable[[Reads], Reads]:
    """Register the decorated function for nodes of these types; with `given`, for those that read one."""

    def register(rule: Reads) -> Reads:
        for name in types:
            if given is None:
                RULES[name] = rule
            else:
                PENDING_RULES[name, given] = rule
        return rule

    return register


def load_rules() -> None:
    """Import every file of rules."""
    import_all(__package__)
