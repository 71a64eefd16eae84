"""What networks are compared on: seeded noise, structured patterns and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mgn_convert.graph.types import Array, Shape
from mgn_convert.preprocess import Preprocessing, find_images, read_picture

PICTURES_PER_BATCH = 4


def random_batch(shape: Shape, count: int, seed: int) -> Array:
    """(count, *shape) of standard normal noise."""
    return np.random.default_rng(seed).standard_normal((count, *shape), np.float32)


def pattern_batch(shape: Shape) -> Array:
    """Three images: impulses, ramps, a constant per channel.

    Impulses at the centre and the corners show shifted windows and padding; ramps along x, y and both (one a
    channel) show transposed axes and swapped channels; the constants show scales and means.
    """
    channels, height, width = shape
    images = np.zeros((3, *shape), np.float32)
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1), (height // 2, width // 2)):
        images[0, :, y, x] = 4
    down, across = np.linspace(-2, 2, height)[:, None], np.linspace(-2, 2, width)[None, :]
    for channel in range(channels):
        images[1, channel] = (down * (channel % 3 != 1) + across * (channel % 3 != 0)) / (1 + channel // 3)
        images[2, channel] = 1 - 0.5 * channel
    return images


def in_range(batch: Array, preprocessing: Preprocessing | None) -> Array:
    """Noise of deviation 1 as pixels around 127.5 with deviation 64, put through a network's own scaling."""
    if preprocessing is None or len(preprocessing.mean) != batch.shape[1]:
        return batch
    mean, std = (np.array(x, np.float32).reshape(-1, 1, 1) for x in (preprocessing.mean, preprocessing.std))
    return ((127.5 + 64 * batch) * np.float32(preprocessing.scale) - mean) / std


def picture_batches(shape: Shape, seed: int, images: Path | None) -> Iterator[tuple[str, Array]]:
    """(name, batch) as `input_batches`, of RGB pictures (N, 3, h, w) of 0..255 as float32, not resized yet.

    Noise of another size than the network's, coarse and fine, in batches of 1 and 3; then the pictures of a
    folder, one by one, since they differ in size.
    """
    random = np.random.default_rng(seed)
    height, width = shape[1] // 2 + 37, shape[2] + 41
    yield "noise x1", random.integers(0, 256, (1, 3, height, width)).astype(np.float32)
    coarse = random.integers(0, 256, (3, 3, height // 9 + 1, width // 7 + 1))
    yield "blocks x3", coarse.repeat(9, axis=2).repeat(7, axis=3).astype(np.float32)
    for path in find_images(images) if images is not None else []:
        yield path.name, read_picture(path)[None].transpose(0, 3, 1, 2).astype(np.float32)


def input_batches(
    shape: Shape, seed: int, images: Path | None, preprocessing: Preprocessing | None
) -> Iterator[tuple[str, Array]]:
    """(name, batch) of everything a verification runs: batches of 1 and 3, then the pictures of a folder.

    Where the preprocessing is known, noise and patterns have the range of pictures.
    """
    yield "random x1", in_range(random_batch(shape, 1, seed), preprocessing)
    yield "random x3", in_range(random_batch(shape, 3, seed + 1), preprocessing)
    if len(shape) == 3:
        yield "patterns x3", in_range(pattern_batch(shape), preprocessing)
    if images is None:
        return
    preprocessing = preprocessing or Preprocessing(height=shape[1], width=shape[2])
    paths = find_images(images)
    for start in range(0, len(paths), PICTURES_PER_BATCH):
        part = paths[start : start + PICTURES_PER_BATCH]
        name = f"{part[0].name} .. {part[-1].name}" if len(part) > 1 else part[0].name
        yield name, preprocessing.tensors(part)
