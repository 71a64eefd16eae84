"""The .mat files of CUHK03.

cuhk-03.mat is MATLAB 7.3, that is HDF5: `detected` and `labeled` are cells (1, 5), one per pair of cameras,
of cells (10, people) of pictures (3, width, height), all behind references; MATLAB stores arrays transposed.
Of the ten pictures of a person, the first five are of the pair's first camera; missing ones are empty. The
files of the protocol are MATLAB 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgn_convert.datasets.names import refuse
from mgn_convert.errors import FileFormatError, MissingEngineError

_FIELDS = ("train_idx", "query_idx", "gallery_idx", "labels", "filelist")
_NAME = re.compile(r"\d+_\d+_(\d+)_\d+\.png")
_VIEW = 5  # pictures of a person by one camera of a pair


@dataclass(frozen=True)
class Config:
    """A protocol. files, people, cameras: of every picture; train, query, gallery: which of them, from 0."""

    files: Sequence[str]
    people: Sequence[int]
    cameras: Sequence[int]
    train: Sequence[int]
    query: Sequence[int]
    gallery: Sequence[int]


def read_config(path: Path) -> Config:
    """The protocol at `path`; the camera is the third number of a picture's name, 1 or 2.

    Raises FileFormatError when the file is damaged or lacks a field, MissingEngineError without SciPy.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise _missing("scipy") from None
    try:
        fields = loadmat(str(path))
    except Exception as error:  # its reader fails in many ways on bytes that are no MATLAB file
        raise FileFormatError(f"{path} cannot be read", because=f"MATLAB 5: {error}") from error
    lacking = [field for field in _FIELDS if field not in fields]
    if lacking:
        held = ", ".join(sorted(key for key in fields if not key.startswith("__")))
        raise FileFormatError(f"{path} lacks {', '.join(lacking)}", got=held or "no field")
    files = [str(np.asarray(cell).ravel()[0]) if np.size(cell) else "" for cell in fields["filelist"].ravel()]
    people = [int(label) for label in fields["labels"].ravel()]
    if len(people) != len(files):
        raise FileFormatError(f"{path}: {len(people)} labels for {len(files)} files")
    names = [_NAME.fullmatch(name) for name in files]
    bad = [repr(name) for name, match in zip(files, names, strict=True) if match is None]
    refuse(bad, f"names in {path} do not parse", "names are PAIR_PERSON_CAMERA_NUMBER.png, as 1_001_1_01.png")
    rows = []
    for field in _FIELDS[:3]:
        chosen = [int(index) - 1 for index in fields[field].ravel()]
        if not chosen or min(chosen) < 0 or max(chosen) >= len(files):
            raise FileFormatError(
                f"{path}: {field} is no choice of files", because=f"it wants 1 to {len(files)}"
            )
        rows.append(chosen)
    return Config(files, people, [int(match[1]) for match in names if match], *rows)


def images(path: Path, boxes: str) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Every picture of `boxes` (detected or labeled) with its name, as uint8 (height, width, 3), RGB.

    Raises FileFormatError when the file is damaged or lacks them, MissingEngineError without h5py.
    """
    try:
        import h5py
    except ImportError:
        raise _missing("h5py") from None
    try:
        with h5py.File(path, "r") as file:
            if boxes not in file:
                raise FileFormatError(f"{path} lacks {boxes}", got=", ".join(file) or "no field")
            yield from _walk(file, boxes)
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError) as error:
        raise FileFormatError(f"{path} cannot be read", because=f"MATLAB 7.3 (HDF5): {error}") from error


def _walk(file: Any, boxes: str) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    for pair, group in enumerate(file[boxes][0], 1):
        cells = file[group]
        for person in range(cells.shape[1]):
            for number in range(cells.shape[0]):
                pixels = file[cells[number, person]][:]
                if pixels.ndim == 3 and len(pixels) == 3:
                    name = f"{pair}_{person + 1:03d}_{1 + (number >= _VIEW)}_{number + 1:02d}.png"
                    yield name, pixels.T.astype(np.uint8)


def _missing(package: str) -> MissingEngineError:
    return MissingEngineError(
        f"CUHK03's .mat files need {package}", remedy="pip install 'mgn-convert[train]'"
    )
