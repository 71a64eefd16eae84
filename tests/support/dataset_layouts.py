"""Tiny data sets in the layouts of the published ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

MARKET = {
    "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0002_c3s1_000551_01.jpg", "0007_c2s3_070952_01.jpg"],
    "query": ["0001_c1s1_001051_00.jpg"],
    "bounding_box_test": [
        "-1_c1s1_000401_03.jpg",
        "0000_c4s1_000151_01.jpg",
        "0001_c2s1_000301_00.jpg",
        "0001_c6s1_000301_00.jpg",
    ],
}


def touch(folder: Path, names: Iterable[str]) -> None:
    """Files without content: readers go by names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def market(folder: Path) -> Path:
    for part, names in MARKET.items():
        touch(folder / part, names)
    return folder


def msmt17(folder: Path, train: str = "train", test: str = "test") -> Path:
    lists = {
        "list_train.txt": (train, ["0000/0000_000_01_0303morning_0008_0.jpg 0"]),
        "list_val.txt": (train, ["0001/0001_005_14_0303noon_0061_1.jpg 1"]),
        "list_query.txt": (test, ["0000/0000_002_07_0303noon_0010_0.jpg 0"]),
        "list_gallery.txt": (
            test,
            ["0000/0000_003_08_0303noon_0011_0.jpg 0", "0001/0001_001_08_a_1_0.jpg 1"],
        ),
    }
    for name, (part, lines) in lists.items():
        touch(folder / part, [line.split()[0] for line in lines])
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


CUHK03 = {  # name: (label, part)
    "1_001_1_01.png": (1, "train_idx"),
    "1_001_2_06.png": (1, "train_idx"),
    "1_002_1_02.png": (2, "query_idx"),
    "1_002_2_07.png": (2, "gallery_idx"),
    "3_001_1_01.png": (843, "query_idx"),
    "3_001_2_10.png": (843, "gallery_idx"),
}


def cuhk03_config(path: Path, lacking: str = "", names: Iterable[str] = CUHK03) -> None:
    """A protocol's .mat: indices from 1, labels, names in cells."""
    from scipy.io import savemat

    files = list(names)
    fields: dict[str, object] = {
        part: np.array([[i + 1] for i, (_, own) in enumerate(CUHK03.values()) if own == part], np.float64)
        for part in ("train_idx", "query_idx", "gallery_idx")
    }
    cells = np.empty((len(files), 1), object)
    cells[:, 0] = files
    fields["filelist"] = cells
    fields["labels"] = np.array([[label] for label, _ in CUHK03.values()], np.float64)
    fields["camId"] = np.array([[int(name.split("_")[2])] for name in CUHK03], np.float64)
    fields.pop(lacking, None)
    savemat(path, fields)


def cuhk03_picture(name: str) -> np.ndarray:
    """The picture that `cuhk03_pictures` stores under `name`: uint8 (height, width, 3)."""
    seed = int("".join(c for c in name if c.isdigit()))
    return np.random.default_rng(seed).integers(0, 256, (9, 5, 3), np.uint8)


def cuhk03_pictures(path: Path, boxes: Iterable[str] = ("detected", "labeled")) -> None:
    """cuhk-03.mat as MATLAB 7.3 writes it: cells of references, arrays transposed, absent pictures empty."""
    import h5py

    with h5py.File(path, "w") as file:
        kept = file.create_group("#refs#")

        def stored(array: np.ndarray) -> h5py.Reference:
            return kept.create_dataset(str(len(kept)), data=array).ref

        for kind in boxes:
            pairs = np.empty((1, 5), h5py.ref_dtype)
            for pair in range(5):
                cells = np.empty((10, 2), h5py.ref_dtype)
                for number, person in np.ndindex(10, 2):
                    view = 1 if number < 5 else 2
                    name = f"{pair + 1}_{person + 1:03d}_{view}_{number + 1:02d}.png"
                    pixels = cuhk03_picture(name).T if name in CUHK03 else np.zeros(2, np.uint64)
                    cells[number, person] = stored(pixels)
                pairs[0, pair] = kept.create_dataset(str(len(kept)), data=cells, dtype=h5py.ref_dtype).ref
            file.create_dataset(kind, data=pairs, dtype=h5py.ref_dtype)


def save_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 9)).save(path)
