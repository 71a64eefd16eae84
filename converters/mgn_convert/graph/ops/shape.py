"""Values moved about, cut and joined, and reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mgn_convert.graph.ops.spec import REQUIRED, Attrs, Params, axis_of, op, require
from mgn_convert.graph.types import Array, Shape


def _infer_reshape(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape, pattern = shapes[0], attrs["shape"]
    require(pattern.count(-1) <= 1, "at most one dimension is -1", pattern)
    require(all(n or i < len(shape) for i, n in enumerate(pattern)), "0 copies an axis that exists", pattern)
    dims = [n or shape[i] for i, n in enumerate(pattern)]
    if -1 in dims:
        dims[dims.index(-1)] = math.prod(shape) // -math.prod(dims)
    require(math.prod(dims) == math.prod(shape), "the number of elements stays", f"{shape} to {pattern}")
    return tuple(dims)


@op("reshape", infer=_infer_reshape, attrs={"shape": REQUIRED})
def _reshape(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """shape: 0 copies the input's axis of the same index, one -1 takes what is left; so any batch fits."""
    return inputs[0].reshape(_infer_reshape([inputs[0].shape], attrs, params))


def _infer_permute(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    require(sorted(attrs["order"]) == [*range(len(shapes[0]))], "order names every axis once", attrs["order"])
    return tuple(shapes[0][i] for i in attrs["order"])


@op("permute", infer=_infer_permute, attrs={"order": REQUIRED})
def _permute(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    return inputs[0].transpose(attrs["order"])


def _infer_slice(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    shape, axis = shapes[0], axis_of(attrs["axis"], len(shapes[0]))
    start, stop = attrs["start"], attrs["stop"]
    require(0 <= start < stop <= shape[axis], f"0 <= start < stop <= {shape[axis]}", f"{start}:{stop}")
    return (*shape[:axis], stop - start, *shape[axis + 1 :])


@op("slice", infer=_infer_slice, attrs={"axis": REQUIRED, "start": REQUIRED, "stop": REQUIRED})
def _slice(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    index = [slice(None)] * inputs[0].ndim
    index[attrs["axis"]] = slice(attrs["start"], attrs["stop"])
    return inputs[0][tuple(index)]


def _infer_concat(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    axis = axis_of(attrs["axis"], len(shapes[0]))
    rests = {(*s[:axis], *s[axis + 1 :]) for s in shapes if len(s) == len(shapes[0])}
    fits = len(rests) == 1 and all(len(s) == len(shapes[0]) for s in shapes)
    require(fits, f"the inputs differ on axis {axis} alone", list(shapes))
    return (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])


@op("concat", arity=None, infer=_infer_concat, attrs={"axis": REQUIRED})
def _concat(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    return np.concatenate(inputs, axis=attrs["axis"])


_REDUCTIONS: dict[str, Callable[..., Array]] = {
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "asum": lambda x, axis, keepdims: np.abs(x).sum(axis=axis, keepdims=keepdims),
    "sumsq": lambda x, axis, keepdims: (x * x).sum(axis=axis, keepdims=keepdims),
}


def _infer_reduce(shapes: Sequence[Shape], attrs: Attrs, params: Params) -> Shape:
    require(attrs["kind"] in _REDUCTIONS, f"kind is one of {', '.join(_REDUCTIONS)}", attrs["kind"])
    axes = {axis_of(axis, len(shapes[0])) for axis in attrs["axes"]}
    require(bool(axes), "reduces one axis or more", attrs["axes"])
    if attrs["keepdims"]:
        return tuple(1 if i in axes else n for i, n in enumerate(shapes[0]))
    return tuple(n for i, n in enumerate(shapes[0]) if i not in axes)


@op("reduce", infer=_infer_reduce, attrs={"kind": REQUIRED, "axes": REQUIRED, "keepdims": False})
def _reduce(inputs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    """kind over `axes`: mean, sum, max, asum (of magnitudes) or sumsq (of squares)."""
    result = _REDUCTIONS[attrs["kind"]](inputs[0], axis=tuple(attrs["axes"]), keepdims=attrs["keepdims"])
    return np.asarray(result)
