"""Writing a SavedModel: TensorFlow, in a child, is given the graph without its weights, and the weights."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mgn_convert.child import Child
from mgn_convert.errors import MgnConvertError
from mgn_convert.formats.tensorflow import graphdef
from mgn_convert.formats.tensorflow.environment import ENVIRONMENT, SAVED_MODEL
from mgn_convert.formats.tensorflow.processing import RESIZED
from mgn_convert.formats.tensorflow.writer import Assembled
from mgn_convert.packaging import Packaging

DEFAULT = "serving_default"
"""The signature that TensorFlow Serving uses when a client names none."""


def write(made: Assembled, folder: Path, stem: str, packaging: Packaging) -> tuple[Path, ...]:
    """STEM/1/ in `folder`; returns saved_model.pb, then the files beside it."""
    place = folder / stem / "1"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        values = Path(scratch) / "values"
        request = {
            "graph": graphdef.skeleton(made.items),
            "values": str(values),
            "weights": _spill(made.items, values),
            "inputs": list(made.inputs),
            "outputs": list(made.outputs),
            "signatures": signatures(made, packaging),
            "folder": str(place),
        }
        child = Child(f"{__package__}.saver", [], _failure, ENVIRONMENT)
        try:
            child.ask(request)
        finally:
            child.close()
    others = sorted(p for p in place.rglob("*") if p.is_file() and p.name != SAVED_MODEL)
    return (place / SAVED_MODEL, *others)


def signatures(made: Assembled, packaging: Packaging) -> list[dict[str, Any]]:
    """What the SavedModel can be asked for: name, kind, names of inputs and of outputs, in order.

    kind: "float32", and with the preprocessing inside "uint8" and "encoded" (JPEG or PNG).
    """
    names, inside = packaging.names, packaging.processing
    inputs, outputs = list(made.inputs), list(made.outputs)
    if len(inputs) == 1 and names.signature_input:
        inputs = [names.signature_input]
    if len(outputs) == 1 and names.signature_output:
        outputs = [names.signature_output]
    ends = {"inputs": inputs, "outputs": outputs, "resized": f"{RESIZED}:0"}
    plain = dict.fromkeys([names.signature or DEFAULT, DEFAULT])
    found = [{"name": name, "kind": "float32", **ends} for name in plain]
    if inside is not None and inside.preprocessing is not None:
        stem = names.signature or "serving"
        found += [{"name": f"{stem}_{kind}", "kind": kind, **ends} for kind in ("uint8", "encoded")]
    return found


def _spill(items: Sequence[Any], values: Path) -> list[tuple[str, tuple[int, ...], int]]:
    """Write the weights one after the other; returns their names, shapes and offsets."""
    table, offset = [], 0
    with values.open("wb") as file:
        for item in items:
            if isinstance(item, graphdef.Weight):
                table.append((item.name, item.shape, offset))
                file.write(item.content().reshape(-1).view(np.uint8).data)
                offset += 4 * math.prod(item.shape)
    return table


def _failure(action: str, reason: str, log: str) -> MgnConvertError:
    return MgnConvertError("TensorFlow cannot write the SavedModel", because=" ".join(reason.split())[:400])
