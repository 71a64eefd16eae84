"""From a folder to a data set, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mgn_convert.datasets import cuhk03, folders, market, msmt17
from mgn_convert.datasets.types import Dataset
from mgn_convert.errors import UsageError


class _Kind(NamedTuple):
    """found: the kinds that a folder is laid out as. word: part of a published folder's name."""

    name: str
    word: str
    found: Callable[[Path], tuple[str, ...]]
    read: Callable[[Path, str], Dataset]


_ALL: Mapping[str, _Kind] = {
    "market1501": _Kind("Market-1501", "market", market.kinds_at, market.read),
    "dukemtmc": _Kind("DukeMTMC-reID", "duke", market.kinds_at, market.read),
    "msmt17": _Kind("MSMT17", "msmt17", msmt17.kinds_at, msmt17.read),
    **{
        f"cuhk03-np-{boxes}": _Kind(
            f"CUHK03-np {boxes}", "", cuhk03.kinds_at, partial(cuhk03.read, boxes=boxes)
        )
        for boxes in cuhk03.BOXES
    },
    "folders": _Kind("", "", folders.kinds_at, folders.read),
}
KINDS = tuple(_ALL)
_LAYOUTS = (cuhk03.kinds_at, msmt17.kinds_at, market.kinds_at, folders.kinds_at)


def read_dataset(folder: Path, kind: str | None = None) -> Dataset:
    """The data set in `folder`, or in the one folder within it that holds one.

    kind: one of KINDS; told from the layout where it is None. The name is that of the published set where
    `kind` says so or the folder is called after it, else the folder's own: many sets share Market-1501's
    layout.

    Raises UsageError for an unknown kind, a folder without data set or with several, and missing parts;
    FileFormatError for names, lists and files that do not parse.
    """
    if kind is not None and kind not in _ALL:
        raise UsageError(f"there is no kind of data set {kind!r}", remedy="one of " + ", ".join(KINDS))
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", remedy="name the folder of a data set")
    place, found = _place(folder, kind)
    chosen = _ALL[found]
    called = place.resolve().name
    published = chosen.name and (kind is not None or chosen.word in called.lower())
    return chosen.read(place, chosen.name if published else called)


def _place(folder: Path, kind: str | None) -> tuple[Path, str]:
    """The folder laid out as a data set and its kind: `folder` itself, or the only one in it."""
    here = _kinds(folder, kind)
    places = {folder: here} if here else {}
    if not places:
        inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        places = {path: kinds for path in inner if (kinds := _kinds(path, kind))}
    if not places:
        held = sorted(path.name for path in folder.iterdir())
        raise UsageError(
            f"{folder} holds no data set" + (f" of kind {kind}" if kind else ""),
            because="each kind has its layout: " + ", ".join(KINDS),
            got=", ".join(held[:6]) + (", ..." if len(held) > 6 else "") or "an empty folder",
            remedy="name the folder that holds the data set's own folders",
        )
    several = [f"{path} ({name})" for path, names in places.items() for name in names]
    if len(several) > 1:
        raise UsageError(
            f"{folder} holds several data sets",
            got=", ".join(several),
            remedy="name the folder of one" if len(places) > 1 else "name the kind",
        )
    place, kinds = next(iter(places.items()))
    return place, kinds[0]


def _kinds(folder: Path, kind: str | None) -> tuple[str, ...]:
    """The kinds that `folder` is laid out as: the first layout that fits, or `kind` if its layout does."""
    if kind is not None:
        return (kind,) if _ALL[kind].found(folder) else ()
    return next((found for layout in _LAYOUTS if (found := layout(folder))), ())
