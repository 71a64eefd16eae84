"""Maps made larger or smaller."""

from __future__ import annotations

import math

import numpy as np

from mgn_convert.formats.onnx.reading.registry import reads
from mgn_convert.formats.onnx.reading.spec import NodeReader
from mgn_convert.graph import Array, Value


@reads("Resize")
def resize(c: NodeReader) -> Value:
    """Whole repetitions by a kernel of ones for each channel; all else by a matrix for each axis."""
    x, mode = c.planes(c.x), c.attributes.get("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise c.refuse(f"it is of mode {mode}", "mode nearest or linear")
    if int(c.attributes.get("antialias", 0)):
        raise c.refuse("it smooths before it makes smaller", "antialias 0")
    scales, sizes = _sizes(c, x)
    if sizes == x.shape[2:] and scales == (1.0, 1.0):
        return x
    matrices = [_matrix(c, x.shape[2 + i], sizes[i], scales[i], mode) for i in (0, 1)]
    factor = tuple(_repetition(matrix) for matrix in matrices)
    if all(factor):
        ones = np.ones((x.shape[1], 1, *factor), np.float32)
        return c.add("conv_transpose", x, weight=ones, stride=factor, groups=x.shape[1])
    by_width = c.step("linear", x, weight=matrices[1], suffix="by_width")
    turned = c.step("permute", by_width, order=(0, 1, 3, 2))
    by_height = c.step("linear", turned, weight=matrices[0], suffix="by_height")
    return c.add("permute", by_height, order=(0, 1, 3, 2))


def _sizes(c: NodeReader, x: Value) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scales and sizes of height and width, of which the node gives one or the other."""
    axes = c.integers("axes") or range(4)
    scales: dict[int, float] = {}
    sizes: dict[int, float] = {}
    given = c.array(2), c.array(3)
    if c.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise c.refuse("it keeps the ratio of height and width", "sizes")
    for found, array in zip((scales, sizes), given, strict=True):
        if array is not None and array.size:
            found.update(zip((axis % 4 for axis in axes), (float(n) for n in array.reshape(-1)), strict=True))
    if scales:
        if any(scales.get(axis, 1.0) != 1 for axis in (0, 1)):
            raise c.refuse("it resizes images or channels")
        factors = tuple(scales.get(axis, 1.0) for axis in (2, 3))
        return factors, tuple(math.floor(x.shape[2 + i] * factors[i]) for i in (0, 1))
    allowed = {0: (c.batch, c.reading.fixed), 1: (x.shape[1],)}
    if not sizes or any(axis in sizes and sizes[axis] not in allowed[axis] for axis in (0, 1)):
        raise c.refuse("it resizes images or channels, or tells no sizes")
    wanted = tuple(int(sizes.get(axis, x.shape[axis])) for axis in (2, 3))
    return tuple(wanted[i] / x.shape[2 + i] for i in (0, 1)), wanted


def _matrix(c: NodeReader, old: int, new: int, scale: float, mode: str) -> Array:
    """(new, old): the weights of the old cells in each new one, rows of sum one."""
    place = _places(c, old, new, scale)
    matrix = np.zeros((new, old), np.float32)
    rows = np.arange(new)
    if mode == "nearest":
        matrix[rows, np.clip(_rounded(c, place), 0, old - 1)] = 1
        return matrix
    place = np.clip(place, 0, old - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, old - 1)
    np.add.at(matrix, (rows, low), 1 - (place - low))
    np.add.at(matrix, (rows, high), place - low)
    return matrix


def _places(c: NodeReader, old: int, new: int, scale: float) -> Array:
    """Where each new cell lies among the old ones, by the coordinate_transformation_mode."""
    kind = c.attributes.get("coordinate_transformation_mode", "half_pixel")
    cells = np.arange(new, dtype=np.float64)
    if kind == "pytorch_half_pixel" and new == 1:
        return cells * 0
    if kind in ("half_pixel", "pytorch_half_pixel"):
        return (cells + 0.5) / scale - 0.5
    if kind == "asymmetric":
        return cells / scale
    if kind == "align_corners":
        return cells * (old - 1) / max(1, new - 1)
    if kind == "half_pixel_symmetric":
        return old / 2 * (1 - new / (scale * old)) + (cells + 0.5) / scale - 0.5
    raise c.refuse(f"its coordinate_transformation_mode is {kind}", "half_pixel, asymmetric or align_corners")


def _rounded(c: NodeReader, place: Array) -> Array:
    """Whole numbers, by the nearest_mode; a millionth off a half counts as one."""
    kind = c.attributes.get("nearest_mode", "round_prefer_floor")
    place = np.round(place, 6)
    if kind == "round_prefer_floor":
        found = np.ceil(place - 0.5)
    elif kind == "round_prefer_ceil":
        found = np.floor(place + 0.5)
    elif kind in ("floor", "ceil"):
        found = np.floor(place) if kind == "floor" else np.ceil(place)
    else:
        raise c.refuse(f"its nearest_mode is {kind}")
    return found.astype(int)


def _repetition(matrix: Array) -> int:
    """How many times in a row each old cell is repeated; 0 where it is not as simple as that."""
    new, old = matrix.shape
    factor = new // old
    same = factor * old == new and np.array_equal(matrix, np.repeat(np.eye(old), factor, axis=0))
    return factor if same else 0
