"""Where the rules of rules/<family>.py are found: by section type for reading, by op for writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mgn_convert.formats import import_all
from mgn_convert.graph.types import Graph, Node, Value

if TYPE_CHECKING:
    from mgn_convert.formats.darknet.cfg import Section
    from mgn_convert.formats.darknet.fusion import Unit
    from mgn_convert.formats.darknet.reader import Reading
    from mgn_convert.formats.darknet.writer import Writing

ReadRule = Callable[["Reading", "Section"], Value]
WriteRule = Callable[["Writing", "Unit"], None]
Lacks = Callable[[Graph, Node, Mapping[str, Any]], "str | None"]


@dataclass(frozen=True)
class Writer:
    """How an op is written, and `lacks(graph, node, dialect)`: why a node of it cannot be, or None.

    sections: the types that it may become. own: whether only our engine has them.
    """

    write: WriteRule
    lacks: Lacks
    sections: tuple[str, ...]
    own: bool


_READERS: dict[str, ReadRule] = {}
_WRITERS: dict[str, Writer] = {}


def reads(section_type: str) -> Callable[[ReadRule], ReadRule]:
    """Register the decorated function as the one that reads [section_type]."""

    def register(rule: ReadRule) -> ReadRule:
        _READERS[section_type] = rule
        return rule

    return register


def writes(
    *ops: str, lacks: Lacks, sections: tuple[str, ...], own: bool = False
) -> Callable[[WriteRule], WriteRule]:
    """Register the decorated function as the one that writes `ops`. The rest as in `Writer`."""

    def register(rule: WriteRule) -> WriteRule:
        _WRITERS.update(dict.fromkeys(ops, Writer(rule, lacks, sections, own)))
        return rule

    return register


def readers() -> dict[str, ReadRule]:
    """Every reading rule by section type."""
    import_all(f"{__package__}.rules")
    return _READERS


def writers() -> dict[str, Writer]:
    """Every writing rule by op."""
    import_all(f"{__package__}.rules")
    return _WRITERS
