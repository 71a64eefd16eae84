"""Values cut, joined, repeated and padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from mgn_convert.formats.onnx.reading.registry import RULES, Operand, Pending, Result, reads
from mgn_convert.formats.onnx.reading.spec import NodeReader, number
from mgn_convert.graph import Array, Shape, Value

_BROADCASTING = ("Add", "Sub", "Mul", "Div")


@reads("Slice")
def slice_(c: NodeReader) -> Value:
    """Constant starts and ends, along one axis after the other."""
    x = c.x
    starts, ends = (c.weight(i).reshape(-1) for i in (1, 2))
    axes = c.array(3)
    steps = c.array(4)
    named = range(len(starts)) if axes is None else [int(n) % len(x.shape) for n in axes.reshape(-1)]
    if steps is not None and any(int(n) != 1 for n in steps.reshape(-1)):
        raise c.refuse(f"it takes elements in steps of {steps.reshape(-1).tolist()}", "steps 1")
    cuts = []
    for axis, start, end in zip(named, starts, ends, strict=True):
        cut = _cut(c, x, axis, int(start), int(end))
        if cut is not None:
            cuts.append((axis, *cut))
    for axis, first, stop in cuts[:-1]:
        x = c.step("slice", x, axis=axis, start=first, stop=stop)
    for axis, first, stop in cuts[-1:]:
        x = c.add("slice", x, axis=axis, start=first, stop=stop)
    return x


def _cut(c: NodeReader, x: Value, axis: int, start: int, end: int) -> tuple[int, int] | None:
    """(first, stop) along an axis; None for all of it."""
    size = x.shape[axis]
    if axis == c.images(x) and size == c.batch and c.reading.fixed is not None:
        size = min(size, c.reading.fixed)  # ends are those of the file
        if end >= c.batch:
            end = size
    first, stop, _ = slice(start, end).indices(size)
    if (first, stop) == (0, size):
        return None
    axis = c.axis(axis, x)
    if first >= stop:
        raise c.refuse(f"nothing is left of axis {axis}, which it cuts from {start} to {end}")
    return first, stop


@reads("Split")
def split(c: NodeReader) -> tuple[Value, ...]:
    """Sizes given, or as many equal parts as there are results, the last one smaller."""
    axis = c.axis(int(c.attributes.get("axis", 0)), c.x)
    count, size = len(c.node.output), c.x.shape[axis]
    sizes = c.integers("split", 1)
    if sizes is None:
        part = -(-size // count)
        sizes = tuple(max(0, min(part, size - i * part)) for i in range(count))
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        raise c.refuse(f"it cuts {size} into {list(sizes)} for {count} results")
    borders = [0, *accumulate(sizes)]
    cuts = pairwise(borders)
    return tuple(c.add("slice", c.x, output=i, axis=axis, start=a, stop=b) for i, (a, b) in enumerate(cuts))


@reads("Gather")
def gather(c: NodeReader) -> Value:
    """One place of an axis, or a list of them: each run of neighbours is a slice."""
    x, indices = c.x, c.weight(1)
    axis = int(c.attributes.get("axis", 0))
    if indices.ndim > 1 or not indices.size:
        raise c.refuse("its indices are neither one number nor a list")
    axis = c.axis(axis, x)
    size = x.shape[axis]
    if any(not -size <= int(n) < size for n in indices.reshape(-1)):
        raise c.refuse(f"an index of it is past the {size} places of axis {axis}")
    places = [int(n) % size for n in indices.reshape(-1)]
    if not indices.ndim:
        part = c.step("slice", x, axis=axis, start=places[0], stop=places[0] + 1)
        return c.reshaped(part, (*x.shape[:axis], *x.shape[axis + 1 :]))
    runs = _runs(places)
    if len(runs) == 1:
        return c.add("slice", x, axis=axis, start=runs[0][0], stop=runs[0][1])
    parts = [c.step("slice", x, axis=axis, start=first, stop=stop) for first, stop in runs]
    return c.add("concat", *parts, axis=axis)


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """(first, stop) of every run of numbers that follow each other."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    return found


@reads("Concat")
def concat(c: NodeReader) -> Value:
    beside = next(x for x in c.inputs if isinstance(x, Value))
    axis = c.axis(int(c.attributes.get("axis", 0)), beside)
    if len(c.inputs) == 1:
        return beside
    values = [
        x if isinstance(x, Value) else _beside(c, c.weight(i), beside, axis) for i, x in enumerate(c.inputs)
    ]
    return c.add("concat", *values, axis=axis)


def _beside(c: NodeReader, constant: Array, x: Value, axis: int) -> Value:
    """`constant` for each image, made of the first numbers of x along `axis`: 0 * x + constant."""
    images = c.images(x)
    if constant.ndim != len(x.shape) or images is None:
        raise c.refuse("its operands differ in the number of axes")
    constant = c.alike(constant, images).astype(np.float32)
    length = constant.shape[axis]
    fits = length <= x.shape[axis]
    first = c.step("slice", x, axis=axis, start=0, stop=length if fits else 1)
    nothing = c.step("power", first, scale=0.0)
    if fits and images == 0 and constant.shape[0] == 1:
        return c.step("scale", nothing, axis=1, bias=constant[0])
    return c.step("add", nothing, c.constant(constant))


@dataclass(frozen=True)
class Expanded(Pending):
    """x in a larger shape, left to the arithmetic that reads it, which may broadcast by itself."""

    x: Value
    shape: Shape


@reads("Expand")
def expand(c: NodeReader) -> Value | Expanded:
    x, target = c.x, [int(n) for n in c.weight(1).reshape(-1)]
    if len(target) > len(x.shape):
        raise c.refuse("it adds leading axes")
    images = c.images(x)
    sizes = [1] * (len(x.shape) - len(target)) + target
    if images is not None and sizes[images] in (c.reading.fixed, x.shape[images]):
        sizes[images] = 1
    wanted = np.broadcast_shapes(x.shape, tuple(sizes))
    if wanted == x.shape:
        return x
    if c.only_read_by(*_BROADCASTING):
        return Expanded("Expand", x, wanted)
    return c.add("add", x, _zeros(c, x, wanted))


@reads(*_BROADCASTING, given=Expanded)
def broadcast(c: NodeReader) -> Result:
    """The operands as they were before, where the result is the same; else as sums with zeros."""
    operands = [x for x in c.inputs if isinstance(x, (Value, np.ndarray, Expanded))]
    shapes = [x.shape for x in operands]
    before = [x.x.shape if isinstance(x, Expanded) else x.shape for x in operands]
    same = np.broadcast_shapes(*before) == np.broadcast_shapes(*shapes)

    def operand(x: Operand) -> Operand:
        if not isinstance(x, Expanded):
            return x
        return x.x if same else c.step("add", x.x, _zeros(c, x.x, x.shape), suffix="expanded")

    return RULES[c.node.op_type](replace(c, inputs=tuple(map(operand, c.inputs))))


def _zeros(c: NodeReader, x: Value, wanted: Shape) -> Value:
    shape = tuple(1 if i == c.images(x) else n for i, n in enumerate(wanted))
    return c.constant(np.zeros(shape, np.float32), "zeros")


@reads("Tile")
def tile(c: NodeReader) -> Value:
    """Copies behind each other, along one axis after the other."""
    x, repeats = c.x, [int(n) for n in c.weight(1).reshape(-1)]
    if len(repeats) != len(x.shape) or min(repeats) < 1:
        raise c.refuse(f"it repeats {repeats} times")
    wanted = [(c.axis(axis, x), count) for axis, count in enumerate(repeats) if count > 1]
    for axis, count in wanted[:-1]:
        x = c.step("concat", *[x] * count, axis=axis)
    for axis, count in wanted[-1:]:
        x = c.add("concat", *[x] * count, axis=axis)
    return x


@reads("Pad")
def pad(c: NodeReader) -> Value:
    """pads: all beginnings, then all ends."""
    mode, value = c.attributes.get("mode", "constant"), c.array(2)
    if mode != "constant":
        raise c.refuse(f"it pads by {mode}", "padding with a constant")
    x, rank = c.x, len(c.x.shape)
    given = c.integers("pads", 1) or ()
    axes = c.array(3)
    named = range(rank) if axes is None else [int(n) % rank for n in axes.reshape(-1)]
    if len(given) != 2 * len(named):
        raise c.refuse(f"its pads are {len(given)} numbers for {len(named)} axes")
    ends = {axis: (given[i], given[i + len(named)]) for i, axis in enumerate(named)}
    if not any(any(pair) for pair in ends.values()):
        return x
    if rank != 4 or any(any(pair) for axis, pair in ends.items() if axis < 2):
        raise c.refuse("it pads other axes than height and width of (N, C, H, W)")
    (top, bottom), (left, right) = ends.get(2, (0, 0)), ends.get(3, (0, 0))
    return c.add("pad", x, padding=(top, left, bottom, right), value=number(value) or 0.0)
