"""ONNX: one file, or one with its weights in a second file beside it."""

from __future__ import annotations

from mgn_convert.formats import Format, lazily

FORMAT = Format(
    name="onnx",
    suffixes=(".onnx",),
    read=lazily(f"{__name__}.reader", "read"),
    target=lazily(f"{__name__}.target", "target"),
    write=lazily(f"{__name__}.writer", "write"),
    open_runner=lazily(f"{__name__}.runner", "open_runner"),
    packages=True,
    written_ops=lazily(f"{__name__}.target", "written_ops"),
)
