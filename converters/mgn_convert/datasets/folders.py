"""Plain folders: train, query and gallery with a folder per person; or pictures told by their names."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from mgn_convert.datasets.names import (
    identity_and_camera,
    named_pictures,
    pictures_below,
    require,
    without_junk,
)
from mgn_convert.datasets.types import PARTS, Dataset, Picture
from mgn_convert.errors import UsageError

_CAMERA = re.compile(r"(?:^|_)c(\d+)")


def kinds_at(folder: Path) -> tuple[str, ...]:
    """The kind, if `folder` has one of the parts, or itself pictures with names in Market-1501's manner."""
    if any((folder / part).is_dir() for part in PARTS):
        return ("folders",)
    bare = any(identity_and_camera(path.name) for path in folder.iterdir() if path.is_file())
    return ("folders",) if bare else ()


def read(folder: Path, name: str) -> Dataset:
    """The data set in `folder`, which has train, or query and gallery, or all three.

    A part has one folder per person; where those are called by whole numbers, these are the identities (-1 is
    junk and left out), else they are numbered from 1 in the order of their names. A file's camera is the
    number in `_c3` in its name; without it, each picture has a camera of its own, so that a search excludes
    none.

    A part that holds pictures directly is told by their names as Market-1501 is. So is a `folder` without
    parts whose own pictures are named so: they are all for training.

    Raises UsageError when query or gallery is alone, or a part is empty; FileFormatError for names.
    """
    places = {part: folder / part for part in PARTS if (folder / part).is_dir()}
    if not places:
        return Dataset(name, named_pictures(folder), (), ())
    if "train" not in places or len(places) == 2:
        require([folder / part for part in ("query", "gallery") if part not in places], "pair to search in")
    if any(path.parent == place for place in places.values() for path in pictures_below(place)):
        parts = {part: named_pictures(place) for part, place in places.items()}
    else:
        parts = _by_person(places)
    return Dataset(name, *(parts.get(part, ()) for part in PARTS))


def _by_person(places: dict[str, Path]) -> dict[str, tuple[Picture, ...]]:
    found = {part: pictures_below(place) for part, place in places.items()}
    people = {_person(path, places[part]) for part in found for path in found[part]}
    if all(re.fullmatch(r"-?\d+", person) for person in people):
        identities = {person: int(person) for person in people}
    else:
        identities = {person: number for number, person in enumerate(sorted(people), 1)}
    cameras = {
        path: int(told[1])
        for paths in found.values()
        for path in paths
        if (told := _CAMERA.search(path.stem))
    }
    unnamed = count(1 + max(cameras.values(), default=0))
    parts = {}
    for part, paths in found.items():
        parts[part] = without_junk(
            Picture(
                path,
                identities[_person(path, places[part])],
                cameras[path] if path in cameras else next(unnamed),
            )
            for path in paths
        )
        if not parts[part]:
            raise UsageError(f"{places[part]} holds no pictures", remedy="one folder per person in it")
    return parts


def _person(path: Path, place: Path) -> str:
    return path.relative_to(place).parts[0]
