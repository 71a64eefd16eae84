"""From a picture to the tensor a network takes; recorded beside every artefact, the same for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.graph.types import Array
from mgn_convert.resize import SAMPLINGS, resize

RESIZES = ("bicubic", "bilinear", *SAMPLINGS)
"""Ways to resize that files with their preprocessing inside can have. The first two are Pillow's."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm")


@dataclass(frozen=True)
class Preprocessing:
    """(resized pixel * scale - mean) / std per channel, channels in `color` order, as float32 (C, H, W).

    resize: Pillow's filter, with its antialiasing (bicubic, bilinear, nearest, box, hamming or lanczos), or a
    sampling of TensorFlow's (see resize.py).
    """

    height: int
    width: int
    resize: str = "bicubic"
    color: str = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_json`."""
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, as the manifest's schema wants them."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    def tensor(self, path: Path) -> Array:
        """The picture at `path` as float32 (3, height, width). Raises FileFormatError if it is none."""
        result: Array = self.applied(read_picture(path)[None])[0]
        return result

    def applied(self, pictures: Array, dtype: type[np.floating[Any]] = np.float32) -> Array:
        """RGB pictures of one size (N, h, w, 3), values 0..255, as (N, 3, height, width)."""
        pixels = self._resized(pictures, dtype)
        if self.color == "BGR":
            pixels = pixels[..., ::-1]
        mean, std = np.array(self.mean, dtype), np.array(self.std, dtype)
        normalised = (pixels * dtype(self.scale) - mean) / std
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))

    def _resized(self, pictures: Array, dtype: type[np.floating[Any]]) -> Array:
        if self.resize in SAMPLINGS:
            return resize(pictures.astype(dtype), self.height, self.width, self.resize)
        from PIL import Image

        method = Image.Resampling[self.resize.upper()]
        whole = np.rint(pictures).astype(np.uint8)
        made = [Image.fromarray(each).resize((self.width, self.height), method) for each in whole]
        return np.stack([np.asarray(each, dtype) for each in made])

    def tensors(self, paths: Iterable[Path]) -> Array:
        """The pictures as one batch (N, 3, height, width)."""
        return np.stack([self.tensor(path) for path in paths])


def read_picture(path: Path) -> Array:
    """The picture at `path`, uint8 (h, w, 3), RGB. Raises FileFormatError if it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileFormatError(f"{path} is not a picture", because=str(error)) from None


def find_images(folder: Path) -> list[Path]:
    """Every picture below `folder`, by its suffix, sorted. Raises UsageError when there is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise UsageError(f"{folder} holds no pictures", because=f"suffixes are {', '.join(IMAGE_SUFFIXES)}")
    return found
