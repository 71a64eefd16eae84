"""A training picture as the network takes it, changed at random as the recipe says."""

from __future__ import annotations

import math

import numpy as np

from mgn_convert.graph.types import Array
from mgn_convert.preprocess import Preprocessing
from mgn_reid.data.autoaugment import autoaugmented
from mgn_reid.training.sections import Augmentation, Erase

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Mean colour of ImageNet's pictures, RGB, 0..255."""

ERASE_ATTEMPTS = 100


class Augment:
    """Pictures to network inputs; the same generator gives the same change.

    In this order: auto-augmentation, resizing and normalising, mirroring, padding and cropping, erasing. The
    middle ones act on normalised pixels, where black is what black becomes by normalising.
    """

    def __init__(self, preprocessing: Preprocessing, settings: Augmentation) -> None:
        self._preprocessing = preprocessing
        self._settings = settings
        self._black = self._normalised((0.0, 0.0, 0.0))
        self._mean = self._normalised(IMAGENET_MEAN)

    def __call__(self, picture: Array, generator: np.random.Generator) -> Array:
        """An RGB picture, uint8 (h, w, 3), as float32 (3, height, width)."""
        settings = self._settings
        if settings.autoaugment and generator.random() < settings.autoaugment:
            picture = autoaugmented(picture, generator)
        pixels = self._preprocessing.applied(picture[None])[0]
        if generator.random() < settings.flip:
            pixels = pixels[:, :, ::-1]
        if settings.pad:
            pixels = padded_crop(pixels, settings.pad, self._black, generator)
        pixels = np.ascontiguousarray(pixels)
        if settings.erase is not None and generator.random() < settings.erase.probability:
            erase(pixels, settings.erase, self._mean, generator)
        return pixels

    def _normalised(self, colour: tuple[float, ...]) -> Array:
        """One RGB colour as the network takes it, float32 (3, 1, 1)."""
        p = self._preprocessing
        ordered = np.array(colour if p.color == "RGB" else colour[::-1], np.float32)
        mean, std = np.array(p.mean, np.float32), np.array(p.std, np.float32)
        normalised: Array = ((ordered * np.float32(p.scale) - mean) / std)[:, None, None]
        return normalised


def padded_crop(pixels: Array, pad: int, colour: Array, generator: np.random.Generator) -> Array:
    """A window of the size of `pixels` (C, H, W), anywhere in it with `pad` pixels of `colour` around it."""
    channels, height, width = pixels.shape
    wide = np.empty((channels, height + 2 * pad, width + 2 * pad), pixels.dtype)
    wide[:] = colour
    wide[:, pad : pad + height, pad : pad + width] = pixels
    top, left = generator.integers(0, 2 * pad, size=2, endpoint=True)
    return wide[:, top : top + height, left : left + width]


def erase(pixels: Array, settings: Erase, mean: Array, generator: np.random.Generator) -> None:
    """Fill one rectangle of `pixels` (C, H, W) in place.

    Area and aspect are drawn evenly from their bounds until the rectangle fits in; nothing happens when it
    never does.
    """
    _, height, width = pixels.shape
    for _ in range(ERASE_ATTEMPTS):
        area = generator.uniform(*settings.area) * height * width
        aspect = generator.uniform(*settings.aspect)
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if rows < height and columns < width:
            top = generator.integers(0, height - rows, endpoint=True)
            left = generator.integers(0, width - columns, endpoint=True)
            fill = mean if settings.fill == "mean" else 0
            pixels[:, top : top + rows, left : left + columns] = fill
            return
