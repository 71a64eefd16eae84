"""The rules: which function writes an op. Files of rules/ register themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mgn_convert.formats import import_all
from mgn_convert.graph import Graph, Node

if TYPE_CHECKING:
    from mgn_convert.formats.tensorflow.network import NetWriter

Write = Callable[["NetWriter", Node], None]
Fits = Callable[[Graph, Node], "str | None"]

WRITE: dict[str, WriteRule] = {}


@dataclass(frozen=True)
class WriteRule:
    """How one op is written.

    kinds: the TensorFlow ops that it becomes, besides those that move axes.
    fits: (graph, node) -> None, or the reason why this node cannot be written.
    """

    kinds: tuple[str, ...]
    write: Write
    fits: Fits


def writes(op: str, *kinds: str, fits: Fits = lambda graph, node: None) -> Callable[[Write], Write]:
    """Register the decorated function as the writer of `op`. See `WriteRule`."""

    def register(rule: Write) -> Write:
        WRITE[op] = WriteRule(kinds, rule, fits)
        return rule

    return register


def load_rules() -> None:
    """Import every file of rules."""
    import_all(f"{__package__}.rules")
