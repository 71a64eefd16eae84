"""Identity and camera from the names of files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mgn_convert.datasets.types import Picture
from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.preprocess import IMAGE_SUFFIXES

JUNK = -1
RULE = "names are IDENTITY_cCAMERA..., as 0002_c1s1_000451_03.jpg"
_MARKET = re.compile(r"(-?\d{1,9})_c(\d{1,9})(?!\d)")
_SHOWN = 3


def identity_and_camera(name: str) -> tuple[int, int] | None:
    """What a file name in the manner of Market-1501 says; None where it says nothing."""
    found = _MARKET.match(name)
    return (int(found[1]), int(found[2])) if found else None


def pictures_below(folder: Path) -> list[Path]:
    """Every picture in `folder` and the folders in it, by its suffix, sorted; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("[!.]*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def named_pictures(folder: Path) -> tuple[Picture, ...]:
    """The pictures below `folder`, told by their names, without junk.

    Raises UsageError when there is none and FileFormatError when a name says nothing.
    """
    found = [(path, identity_and_camera(path.name)) for path in pictures_below(folder)]
    refuse([str(path) for path, told in found if told is None], "names that tell no identity", RULE)
    pictures = without_junk(Picture(path, *told) for path, told in found if told is not None)
    if not pictures:
        raise UsageError(f"{folder} holds no pictures", because=f"suffixes are {', '.join(IMAGE_SUFFIXES)}")
    return pictures


def without_junk(pictures: Iterable[Picture]) -> tuple[Picture, ...]:
    """The pictures that show a person, sorted by path."""
    return tuple(sorted((p for p in pictures if p.identity != JUNK), key=lambda p: p.path))


def refuse(faults: list[str], what: str, rule: str, remedy: str = "") -> None:
    """Raise FileFormatError if there are `faults`: how many, and the first few."""
    if faults:
        shown = ", ".join(faults[:_SHOWN]) + (", ..." if len(faults) > _SHOWN else "")
        raise FileFormatError(f"{len(faults)} {what}", because=rule, got=shown, remedy=remedy)


def require(missing: list[Path], what: str) -> None:
    """Raise UsageError if files or folders of a layout are `missing`: which of them."""
    if missing:
        raise UsageError(
            f"{missing[0].parent} is not a whole {what}",
            because="it lacks " + ", ".join(path.name for path in missing),
            remedy="unpack the data set again, or name the folder that holds all of it",
        )
