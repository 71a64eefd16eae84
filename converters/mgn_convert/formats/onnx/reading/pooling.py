"""Pooling over windows or over all places."""

from __future__ import annotations

from dataclasses import dataclass

from mgn_convert.formats.onnx.reading.convolution import Sides, sides
from mgn_convert.formats.onnx.reading.registry import Pending, reads
from mgn_convert.formats.onnx.reading.spec import NodeReader
from mgn_convert.graph import Value
from mgn_convert.graph.ops.pool import ceil_overhang


@dataclass(frozen=True)
class Places(Pending):
    """Where in `source` the maxima of a pooling are. sides: its padding, (top, left, bottom, right)."""

    source: Value
    kernel: tuple[int, int]
    stride: tuple[int, int]
    sides: Sides


@dataclass(frozen=True)
class _Window:
    kernel: tuple[int, int]
    stride: tuple[int, int]
    sides: Sides
    overhang: tuple[int, int]


@reads("MaxPool")
def max_pool(c: NodeReader) -> tuple[Value, Places | None]:
    window = _window(c)
    top, left, bottom, right = window.sides
    ends: Sides = (top, left, bottom + window.overhang[0], right + window.overhang[1])
    pooled = c.add("max_pool", c.x, kernel=window.kernel, stride=window.stride, padding=ends)
    if int(c.attributes.get("storage_order", 0)):
        return pooled, None
    return pooled, Places("MaxPool", c.x, window.kernel, window.stride, ends)


@reads("AveragePool")
def average_pool(c: NodeReader) -> Value:
    window = _window(c)
    return c.add(
        "avg_pool",
        c.x,
        kernel=window.kernel,
        stride=window.stride,
        padding=window.sides,
        overhang=window.overhang,
        count_include_pad=bool(c.attributes.get("count_include_pad", 0)),
    )


def _window(c: NodeReader) -> _Window:
    x = c.planes(c.x)
    if c.sizes("dilations", (1, 1)) != (1, 1):
        raise c.refuse("its windows have gaps", "dilations of 1")
    kernel, stride = c.sizes("kernel_shape", (0, 0)), c.sizes("strides", (1, 1))
    if min(*kernel, *stride) < 1:
        raise c.refuse("its windows or strides are not positive")
    padding = sides(c, x, (kernel[0], kernel[1]), stride)
    overhang = [0, 0]
    if int(c.attributes.get("ceil_mode", 0)):
        if padding[:2] != padding[2:]:
            raise c.refuse("it rounds up, with padding that differs at both ends", "ceil_mode 0")
        overhang = [ceil_overhang(x.shape[2 + i], kernel[i], stride[i], padding[i]) for i in (0, 1)]
    return _Window((kernel[0], kernel[1]), (stride[0], stride[1]), padding, (overhang[0], overhang[1]))


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(c: NodeReader) -> Value:
    kind = "max" if c.node.op_type == "GlobalMaxPool" else "mean"
    axes = tuple(c.axis(axis, c.x) for axis in range(2, len(c.x.shape)))
    return c.add("reduce", c.x, kind=kind, axes=axes, keepdims=True)
