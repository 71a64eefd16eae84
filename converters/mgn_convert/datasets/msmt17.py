"""MSMT17, both versions: two folders of pictures and four lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mgn_convert.datasets.names import refuse, require
from mgn_convert.datasets.types import Dataset, Picture
from mgn_convert.errors import FileFormatError

LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
VERSIONS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
_LINE = re.compile(r"(\S.*?)\s+(\d+)")
_CAMERA = re.compile(r"[^_]*_[^_]*_(\d+)_")


def kinds_at(folder: Path) -> tuple[str, ...]:
    """The kind, if `folder` has one of the lists."""
    return ("msmt17",) if any((folder / name).is_file() for name in LISTS) else ()


def read(folder: Path, name: str) -> Dataset:
    """The data set in `folder`: train is the lists of train and val together.

    People of query and gallery are numbered after those of train, since both lists begin at 0. Raises
    UsageError when folders or lists are missing, FileFormatError when a line does not parse or its file is
    missing.
    """
    version = "V2" if (folder / VERSIONS["V2"][0]).is_dir() else "V1"
    train, test = (folder / part for part in VERSIONS[version])
    needed = [train, test, *(folder / each for each in LISTS)]
    require([place for place in needed if not place.exists()], f"MSMT17 {version}")
    learned = _listed(train, [folder / each for each in LISTS[:2]], 0)
    first = 1 + max((picture.identity for picture in learned), default=-1)
    query, gallery = (_listed(test, [folder / each], first) for each in LISTS[2:])
    for list_name, pictures in zip(LISTS[1:], (learned, query, gallery), strict=True):
        if not pictures:
            raise FileFormatError(f"{folder / list_name} lists no picture")
    return Dataset(name, learned, query, gallery)


def _listed(folder: Path, lists: Sequence[Path], first: int) -> tuple[Picture, ...]:
    """The pictures in `folder` that `lists` name, identities counted from `first`."""
    pictures, faults, lost = [], [], []
    for path in lists:
        for number, line in enumerate(path.read_text(encoding="utf8", errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            told = _LINE.fullmatch(line.strip())
            camera = _CAMERA.match(Path(told[1]).name) if told else None
            if told is None or camera is None:
                faults.append(f"{path.name} line {number}: {line.strip()[:60]}")
                continue
            picture = Picture(folder / told[1], first + int(told[2]), int(camera[1]))
            pictures.append(picture)
            if not picture.path.is_file():
                lost.append(str(picture.path))
    refuse(
        faults, "lines that name no picture", "a line is PATH IDENTITY, the camera third in the path's name"
    )
    refuse(
        lost, "listed pictures are missing", "every line of a list names a file", "unpack the data set again"
    )
    return tuple(sorted(pictures, key=lambda picture: picture.path))
