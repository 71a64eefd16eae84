"""Market-1501, DukeMTMC-reID, and what is laid out like them: three folders, all told by names."""

from __future__ import annotations

import re
from pathlib import Path

from mgn_convert.datasets.names import named_pictures, pictures_below, require
from mgn_convert.datasets.types import Dataset

FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
_DUKE = re.compile(r"-?\d+_c\d+_f\d+")


def kinds_at(folder: Path) -> tuple[str, ...]:
    """The kind laid out in `folder`: DukeMTMC-reID has `_f` where Market-1501 has the sequence."""
    held = [folder / name for name in FOLDERS if (folder / name).is_dir()]
    if not held or held == [folder / "query"]:
        return ()
    first = next(iter(pictures_below(held[0])), None)
    return ("dukemtmc",) if first is not None and _DUKE.match(first.name) else ("market1501",)


def read(folder: Path, name: str) -> Dataset:
    """The data set in `folder`. Junk (-1) is left out; distractors (0) stay in the gallery.

    Raises UsageError when a folder is missing or empty and FileFormatError when a name tells no identity.
    """
    places = [folder / each for each in FOLDERS]
    require([place for place in places if not place.is_dir()], "data set in the layout of Market-1501")
    return Dataset(name, *map(named_pictures, places))
