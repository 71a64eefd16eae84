"""Pictures of any size resized in ONNX operators, one axis at a time.

A resized axis is a product with a matrix of weights that the old size makes. The operator Resize will not do:
with antialiasing it is up to 8 levels of 255 off Pillow, and it samples at other places than TensorFlow.

Pillow, bit for bit. With s = old size / new size and f = max(s, 1), pixel j of the old picture has in pixel i
of the new one the weight

    k(|j + 0.5 - (i + 0.5) s| / f),  normalised over j,

k being the filter. Pillow rounds weights to 22 binary places, halves away from zero, and sums to whole
numbers, halves up; in float64 all of that is exact. It takes the width first, unless height is lost and more
than twice the width that is (since version 13).

TensorFlow's samplings. At the place p of resize.py, which is in float32, pixel j has the weight
max(0, 1 - |j - p|).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from mgn_convert.formats.onnx.writing.spec import ModelNodes
from mgn_convert.resize import SAMPLINGS

_PLACES = 2.0**22


class _Maker:
    """Adds nodes of one prefix; numbers among the inputs become float64 weights."""

    def __init__(self, model: ModelNodes, prefix: str) -> None:
        self._model, self._prefix = model, prefix

    def __call__(self, operator: str, *inputs: str | float, **attrs: Any) -> str:
        names = [i if isinstance(i, str) else self.number(i, np.float64) for i in inputs]
        output = self._model.fresh(f"{self._prefix}/{operator.lower()}")
        return self._model.add(operator, tuple(names), output, **attrs)

    def whole(self, *numbers: int) -> str:
        return self._model.whole(f"{self._prefix}/integers", *numbers)

    def number(self, value: float, dtype: type[np.floating[Any]]) -> str:
        return self._model.weight(f"{self._prefix}/number", np.array(value, dtype), dtype)


def resized(model: ModelNodes, x: str, size: tuple[int, int], kind: str, name: str) -> str:
    """Pictures `x` (N, 3, h, w), float32 of 0..255, as (N, 3, *size); kind: one of preprocess.RESIZES.

    Returns the name of the result, which is `name`.
    """
    make = _Maker(model, f"{name}/pixels")
    pixels = make("Cast", x, to=TensorProto.DOUBLE)
    high, wide = (_Maker(model, f"{name}/{axis}") for axis in ("height", "width"))
    rows, columns = _size(high, x, 2), _size(wide, x, 3)
    weights = _sampling if kind in SAMPLINGS else _filter
    down = weights(high, rows, size[0], kind)
    across = wide("Transpose", weights(wide, columns, size[1], kind), perm=[1, 0])

    def resized_down(y: str) -> str:
        return _pixels(high, high("MatMul", down, y), kind)

    def resized_across(y: str) -> str:
        return _pixels(wide, wide("MatMul", y, across), kind)

    result = resized_down(resized_across(pixels))
    if kind not in SAMPLINGS:
        lost = make("Sub", make("Cast", rows, to=TensorProto.DOUBLE), float(size[0]))
        other = make("Sub", make("Cast", columns, to=TensorProto.DOUBLE), float(size[1]))
        more = make("Greater", lost, make("Max", make("Mul", other, 2.0), 0.0))
        result = make("Where", more, resized_across(resized_down(pixels)), result)
    return model.add("Cast", (result,), model.fresh(name), to=TensorProto.FLOAT)


def _pixels(make: _Maker, sums: str, kind: str) -> str:
    """Sums of pixels times weights as pixels; Pillow's are of weights with 22 places."""
    if kind in SAMPLINGS:
        return sums
    rounded = make("Floor", make("Div", make("Add", sums, _PLACES / 2), _PLACES))
    return make("Clip", rounded, 0.0, 255.0)


def _size(make: _Maker, x: str, axis: int) -> str:
    return make("Squeeze", make("Shape", x, start=axis, end=axis + 1), make.whole(0))


def _sampling(make: _Maker, old: str, size: int, kind: str) -> str:
    """The matrix (size, old size) of a sampling, float64."""
    zero, one, half, new = (make.number(n, np.float32) for n in (0.0, 1.0, 0.5, float(size)))
    scale = make("Div", make("Cast", old, to=TensorProto.FLOAT), new)
    index = make("Range", zero, new, one)
    if kind == "bilinear-half-pixel":
        places = make("Sub", make("Mul", make("Add", index, half), scale), half)
    else:
        places = make("Mul", index, scale)
    old = make("Cast", old, to=TensorProto.DOUBLE)
    inside = make("Min", make("Max", make("Cast", places, to=TensorProto.DOUBLE), 0.0), make("Sub", old, 1.0))
    rows = make("Unsqueeze", inside, make.whole(1))
    return make("Max", make("Sub", 1.0, make("Abs", make("Sub", make("Range", 0.0, old, 1.0), rows))), 0.0)


def _filter(make: _Maker, old: str, size: int, kind: str) -> str:
    """The matrix (size, old size) of a filter, in whole numbers as float64."""
    old = make("Cast", old, to=TensorProto.DOUBLE)
    scale = make("Div", old, float(size))
    new = make("Unsqueeze", make("Range", 0.0, float(size), 1.0), make.whole(1))
    centres = make("Mul", make("Add", new, 0.5), scale)
    places = make("Add", make("Range", 0.0, old, 1.0), 0.5)
    distance = make("Abs", make("Div", make("Sub", places, centres), make("Max", scale, 1.0)))
    weight = _cubic(make, distance) if kind == "bicubic" else make("Max", make("Sub", 1.0, distance), 0.0)
    weight = make("Div", weight, make("ReduceSum", weight, make.whole(1), keepdims=1))
    kept = make("Floor", make("Add", make("Abs", make("Mul", weight, _PLACES)), 0.5))
    return make("Mul", make("Sign", weight), kept)


def _cubic(make: _Maker, x: str) -> str:
    """Keys' filter with a = -0.5: (1.5 x - 2.5) x^2 + 1 up to 1, -0.5 (((x - 5) x + 8) x - 4) up to 2."""
    near = make("Mul", make("Mul", make("Sub", make("Mul", x, 1.5), 2.5), x), x)
    near = make("Add", near, 1.0)
    far = make("Add", make("Mul", make("Sub", x, 5.0), x), 8.0)
    far = make("Mul", make("Sub", make("Mul", far, x), 4.0), -0.5)
    outside = make("Where", make("Less", x, 2.0), far, 0.0)
    return make("Where", make("Less", x, 1.0), near, outside)
