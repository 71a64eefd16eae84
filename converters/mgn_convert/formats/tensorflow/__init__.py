"""TensorFlow: frozen graphs (.pb) and SavedModels."""

from __future__ import annotations

from mgn_convert.formats import Format, lazily

DIALECTS = ("frozen", "saved-model")


def dialects() -> tuple[str, ...]:
    """What a network can be written as, the default first."""
    return DIALECTS


FORMAT = Format(
    name="tensorflow",
    suffixes=(".pb",),
    target=lazily(f"{__name__}.target", "target"),
    write=lazily(f"{__name__}.writer", "write"),
    open_runner=lazily(f"{__name__}.runner", "open_runner"),
    dialects=dialects,
    dialect_option="format",
    packages=True,
    folder_main="saved_model.pb",
    written_ops=lazily(f"{__name__}.target", "written_ops"),
)
