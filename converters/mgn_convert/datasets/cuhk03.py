"""CUHK03 in its new protocol (767 people to train on), as detected or as labelled by hand.

The pictures lie in cuhk-03.mat; they are written once as PNG into `images_detected` or `images_labeled`
beside it, and read from there ever after. The protocol is in cuhk03_new_protocol_config_detected.mat, or
_labeled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mgn_convert.datasets.cuhk03_mat import Config, images, read_config
from mgn_convert.datasets.names import refuse, require
from mgn_convert.datasets.types import Dataset, Picture
from mgn_convert.errors import UsageError
from mgn_convert.files import staged

BOXES = ("detected", "labeled")
_PICTURES = "cuhk-03.mat"
_RELEASE = "cuhk03_release"  # the archive of the pictures unpacks into this


def kinds_at(folder: Path) -> tuple[str, ...]:
    """The kinds whose protocol lies in `folder`; both where only the pictures do."""
    found = tuple(f"cuhk03-np-{boxes}" for boxes in BOXES if _find(folder, _config_name(boxes)))
    if not found and _find(folder, _PICTURES):
        return tuple(f"cuhk03-np-{boxes}" for boxes in BOXES)
    return found


def read(folder: Path, name: str, boxes: str) -> Dataset:
    """The data set in `folder` with boxes that were `detected` or `labeled`.

    Raises UsageError when files are missing or the PNG cannot be written, FileFormatError when a .mat is
    damaged or lacks pictures, MissingEngineError without the packages that read it.
    """
    config_path = _find(folder, _config_name(boxes)) or folder / _config_name(boxes)
    require([config_path] if not config_path.exists() else [], "CUHK03")
    config = read_config(config_path)
    place = _find(folder, f"images_{boxes}") or _extracted(folder, boxes, config)
    people = config.people
    lost = [str(place / name) for name in config.files if not (place / name).is_file()]
    refuse(
        lost, "pictures are missing", f"{config_path.name} names them", f"remove {place} to extract it again"
    )
    parts = []
    for rows in (config.train, config.query, config.gallery):
        chosen = [Picture(place / config.files[i], people[i], config.cameras[i]) for i in rows]
        parts.append(tuple(sorted(chosen, key=lambda picture: picture.path)))
    return Dataset(name, *parts)


def _config_name(boxes: str) -> str:
    return f"cuhk03_new_protocol_config_{boxes}.mat"


def _find(folder: Path, name: str) -> Path | None:
    """Beside the pictures' folder or in it, from whichever of both `folder` is."""
    places = [folder, folder / _RELEASE, *([folder.parent] if folder.name == _RELEASE else [])]
    return next((place / name for place in places if (place / name).exists()), None)


def _extracted(folder: Path, boxes: str, config: Config) -> Path:
    """The folder of PNG files, made from the .mat."""
    source = _find(folder, _PICTURES)
    if source is None:
        raise UsageError(
            f"{folder} has no pictures of CUHK03",
            because=f"it has neither {_PICTURES} nor a folder images_{boxes}",
            remedy=f"put {_PICTURES} beside {_config_name(boxes)}",
        )
    wanted = set(config.files)
    try:
        with staged(source.parent) as (scratch, publish):
            made = scratch / f"images_{boxes}"
            made.mkdir()
            for name, pixels in images(source, boxes):
                if name in wanted:
                    Image.fromarray(np.ascontiguousarray(pixels)).save(made / name)
                    wanted.remove(name)
            refuse(sorted(wanted), f"pictures are not in {source}", f"{_config_name(boxes)} names them")
            publish()
    except UsageError as error:
        raise UsageError(
            f"the pictures of {source} cannot be extracted",
            because=error.because or error.what,
            remedy=f"make it writable, or put the PNG files into {source.parent / f'images_{boxes}'}",
        ) from error
    return source.parent / f"images_{boxes}"
