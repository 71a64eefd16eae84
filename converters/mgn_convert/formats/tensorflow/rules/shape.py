"""Values moved about, cut and joined, and reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mgn_convert.formats.tensorflow.graphdef import Type
from mgn_convert.formats.tensorflow.layout import ANY, keeps, place, storage, stored
from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.formats.tensorflow.registry import writes
from mgn_convert.graph import Node


@writes("reshape", "Reshape")
def write_reshape(net: NetWriter, node: Node) -> None:
    """Channels are last in the file, so values have to move unless the reshape leaves the channels alone."""
    source, wanted = net.sizes(node.inputs[0]), net.sizes(node.name)
    name, order = net.name(node), storage(len(wanted))
    if len(source) == len(wanted) == 4 and source[:2] == wanted[:2] and ANY not in wanted[1:]:
        tensor = net.reshape(net.tensor(node.inputs[0]), stored(wanted), name, exact=True)
    elif keeps(wanted, order):
        tensor = net.reshape(net.plain(node.inputs[0]), stored(wanted), name, exact=True)
    else:
        plain = net.reshape(net.plain(node.inputs[0]), wanted, net.part(node, "nchw"), exact=True)
        tensor = net.move(plain, wanted, order, name, exact=True)
    net.bind(node.name, tensor)


@writes("permute", "Transpose")
def write_permute(net: NetWriter, node: Node) -> None:
    source, rank = net.sizes(node.inputs[0]), len(node.shape)
    here = storage(rank)
    moves = [here.index(node.attrs["order"][axis]) for axis in here]
    tensor = net.tensor(node.inputs[0])
    net.bind(node.name, net.move(tensor, stored(source), moves, net.name(node), exact=True))


@writes("slice", "Slice")
def write_slice(net: NetWriter, node: Node) -> None:
    rank = len(node.shape)
    axis = place(node.attrs["axis"], rank)
    begin, size = [0] * rank, [-1] * rank
    begin[axis], size[axis] = node.attrs["start"], node.attrs["stop"] - node.attrs["start"]
    ends = net.ints(net.part(node, "begin"), begin), net.ints(net.part(node, "size"), size)
    net.out(node, "Slice", net.tensor(node.inputs[0]), *ends, Index=Type.INT32)


@writes("concat", "ConcatV2")
def write_concat(net: NetWriter, node: Node) -> None:
    if len(node.inputs) == 1:
        net.out(node, "Identity", net.tensor(node.inputs[0]))
        return
    axis = net.ints(net.part(node, "axis"), place(node.attrs["axis"], len(node.shape)))
    net.out(node, "ConcatV2", *(net.tensor(name) for name in node.inputs), axis, N=len(node.inputs))


_REDUCTIONS = {
    "mean": ("", "Mean"),
    "sum": ("", "Sum"),
    "max": ("", "Max"),
    "asum": ("Abs", "Sum"),
    "sumsq": ("Square", "Sum"),
}


LONG = 256
"""Numbers from which on a sum is made in two steps: TensorFlow adds up maps one number after the other."""


def rows_first(
    net: NetWriter, node: Node, kind: str, x: str, axes: Sequence[int], sizes: Sequence[int]
) -> str:
    """x with the last of the stored `axes` reduced to one number and kept, where that is of use."""
    counts = [abs(sizes[axis]) for axis in axes]
    if kind == "Max" or math.prod(counts) <= LONG or counts[-1] == 1 or len(axes) < 2:
        return x
    last = net.ints(net.part(node, f"{kind.lower()}/axis"), list(axes[-1:]))
    return net.add(kind, net.part(node, kind.lower()), x, last, keep_dims=True, exact=True)


@writes("reduce", "Mean", "Sum", "Max", "Abs", "Square")
def write_reduce(net: NetWriter, node: Node) -> None:
    sizes = net.sizes(node.inputs[0])
    rank = len(sizes)
    gone = {axis % rank for axis in node.attrs["axes"]}
    before, kind = _REDUCTIONS[node.attrs["kind"]]
    x = net.tensor(node.inputs[0])
    if before:
        x = net.add(before, net.part(node, before.lower()), x, exact=True)
    axes = sorted(place(axis, rank) for axis in gone)
    x = rows_first(net, node, kind, x, axes, stored(sizes))
    keep = bool(node.attrs["keepdims"])
    left = [axis for axis in range(rank) if axis not in gone]
    order = [left.index(axis) for axis in storage(rank) if axis not in gone]
    wanted = net.ints(net.part(node, "axes"), axes)
    net.out(node, kind, x, wanted, order=None if keep else order, keep_dims=keep)


@writes("pad", "PadV2", "Slice")
def write_pad(net: NetWriter, node: Node) -> None:
    """Negative padding cuts."""
    x, (top, left, bottom, right) = net.tensor(node.inputs[0]), node.attrs["padding"]
    cut = any(n < 0 for n in node.attrs["padding"])
    border = [[0, 0], [max(top, 0), max(bottom, 0)], [max(left, 0), max(right, 0)], [0, 0]]
    sides, value = (
        net.ints(net.part(node, "border"), border),
        net.number(net.part(node, "value"), node.attrs["value"]),
    )
    if not cut:
        net.out(node, "PadV2", x, sides, value)
        return
    x = net.add("PadV2", net.part(node, "padded"), x, sides, value, exact=True)
    begin = net.ints(net.part(node, "begin"), [0, max(-top, 0), max(-left, 0), 0])
    size = net.ints(net.part(node, "size"), [-1, *node.shape[2:], -1])
    net.out(node, "Slice", x, begin, size, Index=Type.INT32)
