"""Pillow's resizing of 8-bit pictures as TensorFlow ops, to the last bit, for pictures of any size.

Along one axis, from n to m pixels, with s = n / m and f = max(s, 1), pixel j of the result is

    c[j, i] = filter((i - (j + 0.5) s + 0.5) / f), for i from floor(center - reach f + 0.5) on, the same above
    k[j, i] = round(2^22 c[j, i] / sum over i of c[j, i])
    y[j]    = clip(floor((sum over i of k[j, i] x[i] + 2^21) / 2^22), 0, 255)

Along rows first, then along columns, with whole numbers between; since Pillow 13 the other way round where
height is lost and more than twice the width that is. All sums are exact in float64.
"""

from __future__ import annotations

from typing import Any

from mgn_convert.formats.tensorflow.graphdef import Type
from mgn_convert.formats.tensorflow.layout import ANY
from mgn_convert.formats.tensorflow.network import NetWriter

REACH = {"bilinear": 1.0, "bicubic": 2.0}
"""How far the filters reach, in pixels."""

_BITS = 22


class _Doubles:
    """Arithmetic in float64 under one name scope."""

    def __init__(self, net: NetWriter, scope: str) -> None:
        self.net, self.scope = net, scope

    def op(self, kind: str, *inputs: str | float) -> str:
        """A node of inputs that are tensors or numbers."""
        tensors = (self.number(x) if isinstance(x, float) else x for x in inputs)
        return self.net.add(kind, f"{self.scope}/{kind.lower()}", *tensors, kind=Type.DOUBLE)

    def number(self, value: float) -> str:
        return self.net.number(f"{self.scope}/number", value, Type.DOUBLE)

    def where(self, condition: str, yes: str, no: str) -> str:
        return self.net.add("SelectV2", f"{self.scope}/where", condition, yes, no, kind=Type.DOUBLE)

    def cast(self, tensor: str, source: Type) -> str:
        return cast(self.net, f"{self.scope}/cast", tensor, source, Type.DOUBLE)

    def axis(self, number: int) -> str:
        return self.net.ints(f"{self.scope}/axis", [number])

    def count(self, size: str) -> str:
        """0, 1, ... below a size."""
        ends = (self.net.ints(f"{self.scope}/start", 0), size, self.net.ints(f"{self.scope}/step", 1))
        index = self.net.add("Range", f"{self.scope}/range", *ends, kind=None, Tidx=Type.INT32)
        return self.cast(index, Type.INT32)


def cast(net: NetWriter, name: str, tensor: str, source: Type, wanted: Type, *, exact: bool = False) -> str:
    """The tensor as another type."""
    return net.add("Cast", name, tensor, kind=None, SrcT=source, DstT=wanted, exact=exact)


def resize(net: NetWriter, pictures: str, height: int, width: int, method: str, name: str) -> str:
    """Float32 pictures (N, h, w, 3) of 0..255 as (N, height, width, 3), float32, in a node called `name`."""
    size = net.add("Shape", f"{name}/size", pictures)
    rows, columns = (_size(net, size, axis, f"{name}/size{axis}") for axis in (1, 2))
    swap, (old, new), (other, last) = _order(net, rows, columns, height, width, f"{name}/order")
    whole = net.add("Round", f"{name}/whole", pictures)
    wide = cast(net, f"{name}/wide", whole, Type.FLOAT, Type.DOUBLE)
    x = net.add("Transpose", f"{name}/turned", wide, swap, kind=Type.DOUBLE)
    x = _summed(net, _weights(net, old, new, method, f"{name}/first"), x, f"{name}/first")
    three = net.ints(f"{name}/colors", 3)
    line = net.add("Mul", f"{name}/line", new, three, kind=Type.INT32)
    x = _reshaped(net, x, (other, line), f"{name}/lines")
    x = _summed(net, _weights(net, other, last, method, f"{name}/second"), x, f"{name}/second")
    x = _reshaped(net, x, (last, new, three), f"{name}/pixels")
    x = net.add("Transpose", f"{name}/back", x, swap, kind=Type.DOUBLE)
    shape = net.ints(f"{name}/shape", [ANY, height, width, 3])
    x = net.add("Reshape", f"{name}/maps", x, shape, kind=Type.DOUBLE)
    return cast(net, name, x, Type.DOUBLE, Type.FLOAT, exact=True)


Pass = tuple[str, str]
"""Sizes of an axis before and after."""


def _order(
    net: NetWriter, rows: str, columns: str, height: int, width: int, scope: str
) -> tuple[str, Pass, Pass]:
    """What to exchange axes by before and after, and the passes in their order.

    Along rows comes first, unless height is lost and more than twice the width that is.
    """

    def op(kind: str, *inputs: str) -> str:
        return net.add(kind, f"{scope}/{kind.lower()}", *inputs, kind=Type.INT32)

    high, wide, two, zero = (net.ints(f"{scope}/number", n) for n in (height, width, 2, 0))
    lost = op("Sub", rows, high)
    more = op("Greater", lost, op("Mul", op("Sub", columns, wide), two))
    both = (more, op("Greater", lost, zero))
    first = net.add("LogicalAnd", f"{scope}/columns_first", *both, kind=None)
    as_is, turned = net.ints(f"{scope}/as_is", [0, 1, 2, 3]), net.ints(f"{scope}/turned", [0, 2, 1, 3])
    swap, *sizes = (
        op("SelectV2", first, yes, no)
        for yes, no in ((turned, as_is), (rows, columns), (high, wide), (columns, rows), (wide, high))
    )
    return swap, (sizes[0], sizes[1]), (sizes[2], sizes[3])


def _size(net: NetWriter, shape: str, axis: int, name: str) -> str:
    """One number of a shape."""
    inputs = (shape, net.ints(f"{name}/index", axis), net.ints(f"{name}/axis", 0))
    types: dict[str, Any] = {"Tparams": Type.INT32, "Tindices": Type.INT32, "Taxis": Type.INT32}
    return net.add("GatherV2", name, *inputs, kind=None, **types)


def _reshaped(net: NetWriter, x: str, sizes: tuple[str, ...], name: str) -> str:
    """x as (N, *sizes)."""
    count = net.ints(f"{name}/count", ANY)
    shape = net.add("Pack", f"{name}/shape", count, *sizes, N=1 + len(sizes), kind=Type.INT32)
    return net.add("Reshape", name, x, shape, kind=Type.DOUBLE)


def _weights(net: NetWriter, old: str, new: str, method: str, scope: str) -> str:
    """k (new, old), whole numbers as float64."""
    d = _Doubles(net, f"{scope}/weights")
    size, scale = d.cast(old, Type.INT32), d.op("RealDiv", d.cast(old, Type.INT32), d.cast(new, Type.INT32))
    spread = d.op("Maximum", scale, 1.0)
    reach = d.op("Mul", spread, REACH[method])
    column = net.add("ExpandDims", f"{scope}/weights/column", d.count(new), d.axis(1), kind=Type.DOUBLE)
    center = d.op("Mul", d.op("AddV2", column, 0.5), scale)
    first = d.op("Maximum", d.op("Floor", d.op("AddV2", d.op("Sub", center, reach), 0.5)), 0.0)
    last = d.op("Minimum", d.op("Floor", d.op("AddV2", d.op("AddV2", center, reach), 0.5)), size)
    i = d.count(old)
    offset = d.op("Mul", d.op("AddV2", d.op("Sub", i, center), 0.5), d.op("RealDiv", 1.0, spread))
    value = _FILTERS[method](d, d.op("Abs", offset))
    inside = (d.op("GreaterEqual", i, first), d.op("Less", i, last))
    both = net.add("LogicalAnd", f"{scope}/weights/inside", *inside, kind=None)
    value = d.op("Mul", value, d.cast(both, Type.BOOL))
    total = net.add("Sum", f"{scope}/weights/total", value, d.axis(1), kind=Type.DOUBLE, keep_dims=True)
    fixed = d.op("Mul", d.op("RealDiv", value, total), 2.0**_BITS)
    return d.op("Mul", d.op("Sign", fixed), d.op("Floor", d.op("AddV2", d.op("Abs", fixed), 0.5)))


def _bilinear(d: _Doubles, x: str) -> str:
    return d.op("Maximum", d.op("Sub", 1.0, x), 0.0)


def _bicubic(d: _Doubles, x: str) -> str:
    """(1.5 x - 2.5) x x + 1 below 1, (((x - 5) x + 8) x - 4) / -2 below 2, 0 above; in this order."""
    near = d.op("Sub", d.op("Mul", 1.5, x), 2.5)
    near = d.op("AddV2", d.op("Mul", d.op("Mul", near, x), x), 1.0)
    far = d.op("AddV2", d.op("Mul", d.op("Sub", x, 5.0), x), 8.0)
    far = d.op("Mul", d.op("Sub", d.op("Mul", far, x), 4.0), -0.5)
    beyond = d.where(d.op("Less", x, 2.0), far, d.number(0.0))
    return d.where(d.op("Less", x, 1.0), near, beyond)


_FILTERS = {"bilinear": _bilinear, "bicubic": _bicubic}


def _summed(net: NetWriter, weights: str, x: str, scope: str) -> str:
    """Weights (new, old) times x (..., old, C), back to whole numbers of 0..255."""
    d = _Doubles(net, f"{scope}/sums")
    sums = d.op("AddV2", d.op("BatchMatMulV2", weights, x), 2.0 ** (_BITS - 1))
    whole = d.op("Floor", d.op("Mul", sums, 2.0**-_BITS))
    return d.op("Minimum", d.op("Maximum", whole, 0.0), 255.0)
