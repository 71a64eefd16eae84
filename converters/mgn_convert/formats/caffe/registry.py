"""The rules: which function reads a layer type, which writes an op. Files of rules/ register themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mgn_convert.formats import import_all
from mgn_convert.graph import Graph, Node, Value

if TYPE_CHECKING:
    from mgn_convert.formats.caffe.reader import LayerReader
    from mgn_convert.formats.caffe.writer import NetWriter

Read = Callable[["LayerReader"], "Value | tuple[Value, ...]"]
Write = Callable[["NetWriter", Node], None]
Dialect = Mapping[str, Any]
Fits = Callable[[Graph, Node, Dialect], "str | None"]

READ: dict[str, Read] = {}
WRITE: dict[str, WriteRule] = {}


@dataclass(frozen=True)
class WriteRule:
    """How one op is written.

    layers: the layer types it takes, which a dialect may lack.
    fits: (graph, node, dialect) -> None, or the reason why this node cannot be written.
    """

    layers: tuple[str, ...]
    write: Write
    fits: Fits


def reads(*types: str) -> Callable[[Read], Read]:
    """Register the decorated function as the reader of layers of these types.

    It adds nodes through the LayerReader and returns the value of the top, or one value per top.
    """

    def register(rule: Read) -> Read:
        READ.update(dict.fromkeys(types, rule))
        return rule

    return register


def writes(op: str, *layers: str, fits: Fits = lambda graph, node, dialect: None) -> Callable[[Write], Write]:
    """Register the decorated function as the writer of `op`. See `WriteRule`."""

    def register(rule: Write) -> Write:
        WRITE[op] = WriteRule(layers, rule, fits)
        return rule

    return register


def load_rules() -> None:
    """Import every file of rules."""
    import_all(f"{__package__}.rules")
