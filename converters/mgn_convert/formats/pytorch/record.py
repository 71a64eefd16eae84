"""What a checkpoint tells about its own network: the entry `architecture` beside its weights.

    {"name": "mgn", "options": {"pool": "avg"}, "preprocessing": {...}}

Options are those that were chosen; the preprocessing has the fields of `Preprocessing`, with the sizes of the
images. `mgn-reid train` writes it, so that its checkpoints need no --arch.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mgn_convert.errors import FileFormatError
from mgn_convert.formats import Source
from mgn_convert.preprocess import Preprocessing

KEY = "architecture"


def complete(source: Source) -> Source:
    """`source` with what its checkpoint records about itself, where the source does not say otherwise.

    Raises FileFormatError for a record that cannot be understood.
    """
    path = source.path
    if path is None or source.factory is not None or not path.is_file() or not zipfile.is_zipfile(path):
        return source
    record = _record(path, path.stat().st_mtime_ns)
    if record is None or source.architecture not in (None, record["name"]):
        return source
    options, preprocessing = _understood(path, record)
    shape = source.input_shape
    if shape is None and preprocessing is not None and "input_size" not in source.options:
        shape = (3, preprocessing.height, preprocessing.width)
    if shape is not None:
        options.pop("input_size", None)
    return replace(
        source,
        architecture=record["name"],
        options={**options, **source.options},
        input_shape=shape,
        preprocessing=source.preprocessing or preprocessing,
    )


@lru_cache(maxsize=8)
def _record(path: Path, changed: int) -> Mapping[str, Any] | None:
    """The entry, if the file has one; files that do not load are for the reader to refuse."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:
        return None
    found = content.get(KEY) if isinstance(content, Mapping) else None
    return found if isinstance(found, Mapping) and isinstance(found.get("name"), str) else None


def _understood(path: Path, record: Mapping[str, Any]) -> tuple[dict[str, str], Preprocessing | None]:
    try:
        options = {str(key): str(value) for key, value in record.get("options", {}).items()}
        fields = record.get("preprocessing")
        return options, None if fields is None else Preprocessing.from_json(fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"{path} has a record of its network that cannot be understood",
            because=f"{type(error).__name__}: {error}",
            remedy="a checkpoint of the same version of mgn-reid",
        ) from None
