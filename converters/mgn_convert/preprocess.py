"""From a picture to the tensor a network takes; recorded beside every artefact, the same for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.graph.types import Array

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm")


@dataclass(frozen=True)
class Preprocessing:
    """(resized pixel * scale - mean) / std per channel, channels in `color` order, as float32 (C, H, W).

    resize: Pillow's filter, with its antialiasing: bicubic, bilinear, nearest, box, hamming or lanczos.
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
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as picture:
                rgb = picture.convert("RGB")
        except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise FileFormatError(f"{path} is not a picture", because=str(error)) from None
        method = Image.Resampling[self.resize.upper()]
        pixels = np.asarray(rgb.resize((self.width, self.height), method), np.float32)
        if self.color == "BGR":
            pixels = pixels[:, :, ::-1]
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalised = (pixels * np.float32(self.scale) - mean) / std
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def tensors(self, paths: Iterable[Path]) -> Array:
        """The pictures as one batch (N, 3, height, width)."""
        return np.stack([self.tensor(path) for path in paths])


def find_images(folder: Path) -> list[Path]:
    """Every picture below `folder`, by its suffix, sorted. Raises UsageError when there is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise UsageError(f"{folder} holds no pictures", because=f"suffixes are {', '.join(IMAGE_SUFFIXES)}")
    return found
