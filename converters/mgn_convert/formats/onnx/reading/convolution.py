"""Convolution and its transpose."""

from __future__ import annotations

from typing import Any

from mgn_convert.formats.onnx.reading.registry import reads
from mgn_convert.formats.onnx.reading.spec import NodeReader
from mgn_convert.graph import Array, Value

Sides = tuple[int, int, int, int]


@reads("Conv")
def conv(c: NodeReader) -> Value:
    x, weight, bias = c.planes(c.x), _filters(c), c.array(2)
    stride, dilation = c.sizes("strides", (1, 1)), c.sizes("dilations", (1, 1))
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True))
    top, left, bottom, right = sides(c, x, (reach[0], reach[1]), stride)
    padding = (top, left)
    if (top, left) != (bottom, right):
        x = c.step("pad", x, padding=(top, left, bottom, right))
        padding = (0, 0)
    return c.add(
        "conv",
        x,
        weight=weight,
        bias=bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=int(c.attributes.get("group", 1)),
    )


@reads("ConvTranspose")
def conv_transpose(c: NodeReader) -> Value:
    """Padding at the end that differs is made up by `output_padding`, or cut off behind."""
    x, weight, bias = c.planes(c.x), _filters(c), c.array(2)
    stride, dilation = c.sizes("strides", (1, 1)), c.sizes("dilations", (1, 1))
    extra = c.sizes("output_padding", (0, 0))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    full = [stride[i] * (x.shape[2 + i] - 1) + extra[i] + reach[i] for i in (0, 1)]
    top, left, bottom, right = _transposed_sides(c, x, stride, full)
    gain = (extra[0] + top - bottom, extra[1] + left - right)
    cut = tuple(min(0, n) for n in gain)
    fields: dict[str, Any] = {
        "weight": weight,
        "bias": bias,
        "stride": stride,
        "padding": (top, left),
        "dilation": dilation,
        "groups": int(c.attributes.get("group", 1)),
        "output_padding": tuple(max(0, n) for n in gain),
    }
    if not any(cut):
        return c.add("conv_transpose", x, **fields)
    return c.add("pad", c.step("conv_transpose", x, **fields), padding=(0, 0, *cut))


def _transposed_sides(c: NodeReader, x: Value, stride: tuple[int, ...], full: list[int]) -> Sides:
    """The padding, which `output_shape` and SAME determine through the size of the result."""
    kind = c.attributes.get("auto_pad", "NOTSET")
    wanted = c.integers("output_shape")
    if kind in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = tuple(n * s for n, s in zip(x.shape[2:], stride, strict=True))
    if wanted is None:
        return sides(c, x, (1, 1), stride)
    total = [n - w for n, w in zip(full, wanted[-2:], strict=True)]
    if min(total) < 0:
        raise c.refuse("its result is larger than the transposed windows reach", "output_padding")
    small = tuple(n // 2 for n in total)
    large = tuple(n - n // 2 for n in total)
    first, last = (small, large) if kind == "SAME_UPPER" else (large, small)
    return (first[0], first[1], last[0], last[1])


def sides(c: NodeReader, x: Value, reach: tuple[int, int], stride: tuple[int, ...]) -> Sides:
    """(top, left, bottom, right) of the padding, given or after `auto_pad`.

    reach: how many cells a window spans. SAME: as many windows as strides fit into the input, rounded up.
    """
    kind = c.attributes.get("auto_pad", "NOTSET")
    if kind in ("NOTSET", ""):
        top, left, bottom, right = c.sizes("pads", (0, 0, 0, 0))
        return (top, left, bottom, right)
    if kind == "VALID":
        return (0, 0, 0, 0)
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise c.refuse(f"auto_pad {kind!r} is unknown")
    total = [
        max(0, (-(-x.shape[2 + i] // stride[i]) - 1) * stride[i] + reach[i] - x.shape[2 + i]) for i in (0, 1)
    ]
    small, large = [n // 2 for n in total], [n - n // 2 for n in total]
    first, last = (small, large) if kind == "SAME_UPPER" else (large, small)
    return (first[0], first[1], last[0], last[1])


def _filters(c: NodeReader) -> Array:
    weight = c.weight(1)
    if weight.ndim != 4:
        raise c.refuse("only filters over height and width are known")
    if c.integers("kernel_shape") not in (None, weight.shape[2:]):
        raise c.refuse(f"its kernel_shape is not that of its filters, {c.text(weight.shape)}")
    return weight
