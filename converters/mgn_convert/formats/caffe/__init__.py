"""Caffe: prototxt and caffemodel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mgn_convert.formats import Format, Runner, Source, Written, dialect_names

if TYPE_CHECKING:
    from mgn_convert.graph.types import Graph
    from mgn_convert.passes.legalize import Target


def _read(source: Source) -> Graph:
    from mgn_convert.formats.caffe.reader import read

    return read(source)


def _target(dialect: str | None) -> Target:
    from mgn_convert.formats.caffe.target import target

    return target(dialect)


def _write(graph: Graph, folder: Path, stem: str, target: Target) -> Written:
    from mgn_convert.formats.caffe.writer import write

    return write(graph, folder, stem, target)


def _open_runner(source: Source) -> Runner:
    from mgn_convert.formats.caffe.runner import open_runner

    return open_runner(source)


def _written_ops() -> dict[str, str]:
    from mgn_convert.formats.caffe.target import written_ops

    return written_ops()


DEFAULT_DIALECT = "portable"
DIALECTS = Path(__file__).parent / "dialects"


def dialects() -> tuple[str, ...]:
    """Names of the dialects, the default first."""
    return dialect_names(DIALECTS, DEFAULT_DIALECT)


FORMAT = Format(
    name="caffe",
    suffixes=(".prototxt",),
    companions=(".caffemodel",),
    read=_read,
    target=_target,
    write=_write,
    open_runner=_open_runner,
    dialects=dialects,
    written_ops=_written_ops,
)
