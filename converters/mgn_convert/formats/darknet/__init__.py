"""Darknet: .cfg and .weights, and the engine that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mgn_convert.formats import Format, Runner, Source, Written, dialect_names

if TYPE_CHECKING:
    from mgn_convert.graph.types import Graph
    from mgn_convert.passes.legalize import Target


def _read(source: Source) -> Graph:
    from mgn_convert.formats.darknet.reader import read

    return read(source)


def _target(dialect: str | None) -> Target:
    from mgn_convert.formats.darknet.target import target

    return target(dialect)


def _write(graph: Graph, folder: Path, stem: str, target: Target) -> Written:
    from mgn_convert.formats.darknet.writer import write

    return write(graph, folder, stem, target)


def _open_runner(source: Source) -> Runner:
    from mgn_convert.formats.darknet.runner import DarknetRunner

    return DarknetRunner(source)


def _written_ops() -> Mapping[str, str]:
    from mgn_convert.formats.darknet.target import written_ops

    return written_ops()


DEFAULT_DIALECT = "mgn"
DIALECTS = Path(__file__).parent / "dialects"


def dialects() -> tuple[str, ...]:
    """Names of the dialects, the default first."""
    return dialect_names(DIALECTS, DEFAULT_DIALECT)


FORMAT = Format(
    name="darknet",
    suffixes=(".cfg",),
    companions=(".weights",),
    read=_read,
    target=_target,
    write=_write,
    open_runner=_open_runner,
    dialects=dialects,
    written_ops=_written_ops,
)
