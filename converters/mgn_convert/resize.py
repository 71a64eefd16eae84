"""Resizing as TensorFlow does it, in NumPy; what Pillow does is left to Pillow.

Two samplings without antialiasing, both bilinear. With s = old size / new size, pixel i of the result is read
at

    bilinear-tf1         i * s                   (TensorFlow 1's resize_images)
    bilinear-half-pixel  (i + 0.5) * s - 0.5     (TensorFlow 2's resize, OpenCV's INTER_LINEAR)

Places are computed in float32, as the engines do: at pixel 500 that moves them by 3e-5.
"""

from __future__ import annotations

import numpy as np

from mgn_convert.graph.types import Array

SAMPLINGS = ("bilinear-half-pixel", "bilinear-tf1")


def resize(pictures: Array, height: int, width: int, sampling: str) -> Array:
    """Pictures (N, h, w, C) as (N, height, width, C) of the same floating-point type."""
    for axis, size in ((2, width), (1, height)):
        lower, upper, weight = _places(pictures.shape[axis], size, sampling)
        low, high = pictures.take(lower, axis=axis), pictures.take(upper, axis=axis)
        shape = [1, 1, 1, 1]
        shape[axis] = size
        pictures = low + (high - low) * weight.reshape(shape).astype(pictures.dtype)
    return pictures


def _places(old: int, new: int, sampling: str) -> tuple[Array, Array, Array]:
    """Of each new pixel: the old ones on its two sides, and how far it is from the first to the second."""
    scale, index = np.float32(old) / np.float32(new), np.arange(new, dtype=np.float32)
    half = np.float32(0.5)
    place = (index + half) * scale - half if sampling == "bilinear-half-pixel" else index * scale
    floor = np.floor(place)
    lower = np.maximum(floor, 0).astype(np.int64)
    upper = np.minimum(np.ceil(place), old - 1).astype(np.int64)
    return lower, upper, place - floor
