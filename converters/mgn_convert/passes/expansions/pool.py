"""Pooling for readers that round the number of windows up, as Caffe does."""

from __future__ import annotations

from typing import Any

import numpy as np

from mgn_convert.graph import Array, GraphBuilder, Node, Shape, Value
from mgn_convert.passes.expansions import Link, chain, step


def floor_windows(size: int, kernel: int, stride: int, padding: int) -> int:
    """Windows along an axis, when those that would overhang are dropped."""
    return (size + 2 * padding - kernel) // stride + 1


def ceil_windows(size: int, kernel: int, stride: int, padding: int) -> int:
    """Windows along an axis, when a last one may overhang but starts before the padding at the end."""
    count = -((kernel - size - 2 * padding) // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def ceil_is_clear(size: int, kernel: int, stride: int, padding: int) -> bool:
    """Whether readers agree on `ceil_windows`: without padding some keep a last window outside the input."""
    count = -((kernel - size - 2 * padding) // stride) + 1
    return padding > 0 or (count - 1) * stride < size


def start_padding(node: Node) -> tuple[int, int]:
    """Padding at the top and at the left."""
    top, left = node.attrs["padding"][:2]
    return int(top), int(left)


def reach(node: Node, shape: Shape) -> tuple[int, int]:
    """Cells past the bottom and the right edge of `shape` that some window covers: fewer than the kernel has.

    Padding beyond them changes nothing, and engines refuse as much padding as the kernel is large.
    """
    found = []
    for i, start in enumerate(start_padding(node)):
        last = (node.shape[2 + i] - 1) * node.attrs["stride"][i] + node.attrs["kernel"][i]
        found.append(max(0, last - start - shape[2 + i]))
    return found[0], found[1]


def cells(node: Node, shape: Shape, *, as_caffe: bool = False) -> Array:
    """What the sums of an avg_pool over `shape` are divided by, one number per window (out_h, out_w).

    as_caffe: what Caffe divides by with the same windows: padding counts, as far as it is at the start.
    """
    if node.attrs["divisor"] and not as_caffe:
        return np.full(node.shape[2:], float(node.attrs["divisor"]))
    counts = []
    for i in (0, 1):
        start, end = int(node.attrs["padding"][i]), int(node.attrs["padding"][i + 2])
        low, high = (-start, shape[2 + i] + (start if as_caffe else end))
        if not as_caffe and not node.attrs["count_include_pad"]:
            low, high = 0, shape[2 + i]
        first = np.arange(node.shape[2 + i]) * node.attrs["stride"][i] - start
        counts.append(np.minimum(first + node.attrs["kernel"][i], high) - np.maximum(first, low))
    return np.multiply.outer(*counts).astype(np.float64)


def _by_ceil(node: Node, shape: Shape) -> tuple[Shape, list[int], list[int], list[Link]] | None:
    """Windows of `node` among those of ceil rounding: (cropped size, padding, counts, slices to take).

    More padding at the start, by whole strides, moves windows out at the end; slices drop what is too much.
    """
    size: list[int] = []
    padding: list[int] = []
    counts: list[int] = []
    cuts: list[Link] = []
    for i, name in ((0, "rows"), (1, "columns")):
        n, k, s = shape[2 + i], node.attrs["kernel"][i], node.attrs["stride"][i]
        start, wanted = start_padding(node)[i], node.shape[2 + i]
        if not ceil_is_clear(n, k, s, start):
            n = min(n, (wanted - 1) * s + k)
        extra = next(
            (m for m in range(wanted + k) if ceil_windows(n, k, s, start + m * s) >= m + wanted), None
        )
        if extra is None or start + extra * s >= k:
            return None
        size.append(n)
        padding.append(start + extra * s)
        counts.append(ceil_windows(n, k, s, padding[i]))
        if counts[i] != wanted:
            cuts.append((name, "slice", {"axis": 2 + i, "start": extra, "stop": extra + wanted}))
    return tuple(size), padding, counts, cuts


def _pool_link(node: Node, size: Shape, padding: list[int], counts: list[int]) -> Link:
    kernel, stride = node.attrs["kernel"], node.attrs["stride"]
    reach = [(counts[i] - 1) * stride[i] + kernel[i] - size[i] - padding[i] for i in (0, 1)]
    fields: dict[str, Any] = {"kernel": kernel, "stride": stride}
    if node.op == "max_pool":
        fields["padding"] = (*padding, *(max(0, end) for end in reach))
    else:
        fields["padding"] = (*padding, *padding)
        fields["overhang"] = tuple(max(0, end - p) for end, p in zip(reach, padding, strict=True))
    return ("ceil", node.op, fields)


def _cropped(builder: GraphBuilder, node: Node, x: Value, size: Shape) -> Value:
    for i, name in ((0, "height"), (1, "width")):
        if x.shape[2 + i] != size[i]:
            x = step(builder, node, "slice", x, suffix=name, axis=2 + i, start=0, stop=size[i])
    return x


def max_pool_by_ceil(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """floor windows = ceil windows without those that overhang: Pooling, then Slice on H and W. Exact."""
    found = _by_ceil(node, inputs[0].shape)
    if found is None:
        return None
    size, padding, counts, cuts = found
    x = _cropped(builder, node, inputs[0], size)
    return chain(builder, node, x, [_pool_link(node, size, padding, counts), *cuts])


def avg_pool_by_ceil(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """mean over wanted cells = mean over Caffe's cells * (Caffe's cells / wanted cells).

    The windows as in `max_pool_by_ceil`; the ratio is a constant map over (H, W), or one number.
    """
    found = _by_ceil(node, inputs[0].shape)
    if found is None:
        return None
    size, padding, counts, cuts = found
    x = _cropped(builder, node, inputs[0], size)
    pool = _pool_link(node, size, padding, counts)
    probe = GraphBuilder("probe")
    caffe = probe.add(pool[1], probe.input("x", x.shape), **pool[2])
    divided = cells(probe.graph([caffe]).nodes[0], x.shape, as_caffe=True)
    for _, _, cut in cuts:
        divided = divided.take(range(cut["start"], cut["stop"]), axis=cut["axis"] - 2)
    ratio = divided / cells(node, inputs[0].shape)
    links = [pool, *cuts]
    if np.all(ratio == ratio.flat[0]):
        links += [("ratio", "power", {"scale": float(ratio.flat[0])})] if ratio.flat[0] != 1 else []
    else:
        links.append(("ratio", "scale", {"weight": ratio, "axis": 2}))
    return chain(builder, node, x, links)
