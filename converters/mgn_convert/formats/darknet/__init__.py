"""Darknet: .cfg and .weights, and the engine that runs them."""

from __future__ import annotations

from pathlib import Path

from mgn_convert.formats import Format, dialect_names, lazily

DEFAULT_DIALECT = "mgn"
DIALECTS = Path(__file__).parent / "dialects"


def dialects() -> tuple[str, ...]:
    """Names of the dialects, the default first."""
    return dialect_names(DIALECTS, DEFAULT_DIALECT)


FORMAT = Format(
    name="darknet",
    suffixes=(".cfg",),
    companions=(".weights",),
    read=lazily(f"{__name__}.reader", "read"),
    target=lazily(f"{__name__}.target", "target"),
    write=lazily(f"{__name__}.writer", "write"),
    open_runner=lazily(f"{__name__}.runner", "DarknetRunner"),
    dialects=dialects,
    written_ops=lazily(f"{__name__}.target", "written_ops"),
)
