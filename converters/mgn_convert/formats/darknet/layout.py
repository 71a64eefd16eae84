"""What shape a Darknet layer has that holds a value of the graph.

Darknet keeps (C, H, W) with every layer, or only a count after a layer that mixes sizes. A reshape that keeps
the batch moves nothing and so is no layer at all: its value lives in the layer of its input, in that layer's
shape, which need not be the value's.

Where our [reshape] exists, a section that needs another shape gets it: `mapped`. The last two axes of a value
are height and width, all between them and the batch are the channels; so (N, A, B) is 1 x A x B, a matrix.
Of a vector (N, K) the elements are the channels: K x 1 x 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from weakref import WeakKeyDictionary

from mgn_convert.graph.types import Graph, Node, Shape

_ELEMENTWISE = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "clip", "batch_norm", "scale", "add", "sub")
_AXES = "chw"
RESHAPED = "the layer that holds its input has another shape, and Darknet has no layer that reshapes"
_known: WeakKeyDictionary[Graph, dict[str, Shape]] = WeakKeyDictionary()


def mapped(shape: Shape) -> Shape:
    """(C, H, W) for a value of this shape, by the rule above."""
    if len(shape) < 3:
        return (math.prod(shape[1:]), 1, 1)
    return (math.prod(shape[1:-2]), *shape[-2:])


def fits(layer: Shape, shape: Shape) -> bool:
    """Whether a layer of this shape has a value's axes, but for those of size 1."""
    return [n for n in layer if n > 1] == [n for n in shape[1:] if n > 1]


def channels_first(shape: Shape) -> Shape:
    """(C, H, W) of a layer whose channels are axis 1 of a value."""
    return mapped(shape) if len(shape) < 3 else (shape[1], math.prod(shape[2:-1]), shape[-1])


def arranged(shape: Shape, axes: Collection[int]) -> tuple[Shape, tuple[str, ...]] | None:
    """(C, H, W) in which `axes` of a value are whole axes of the layer, and their letters c, h, w in order.

    Up to 4 axes as `mapped`. With more, neighbours that are all in `axes`, or all not, become one; None when
    more than three are left.
    """
    if 0 in axes:
        return None
    if len(shape) < 5:
        first = 0 if len(shape) != 3 else 1
        return mapped(shape), tuple(_AXES[first + axis - 1] for axis in sorted(axes))
    parts: list[tuple[bool, int]] = []
    for axis in range(1, len(shape)):
        inside = axis in axes
        if parts and parts[-1][0] == inside:
            parts[-1] = (inside, parts[-1][1] * shape[axis])
        elif inside or shape[axis] > 1:
            parts.append((inside, shape[axis]))
    if len(parts) > 3:
        return None
    parts = [(False, 1)] * (3 - len(parts)) + parts
    return tuple(n for _, n in parts), tuple(a for a, (inside, _) in zip(_AXES, parts, strict=True) if inside)


def paired(shapes: Sequence[Shape]) -> list[Shape] | None:
    """(C, H, W) for values that broadcast with each other, so that the layers do too; else None."""
    if len({len(shape) for shape in shapes}) > 1:
        return None
    if len(shapes[0]) < 5:
        return [mapped(shape) for shape in shapes]
    sizes: list[list[int]] = []
    before: list[bool] = []
    for column in zip(*(shape[1:] for shape in shapes), strict=True):
        single = [n == 1 for n in column]
        if all(single):
            continue
        if sizes and single == before:
            sizes[-1] = [a * b for a, b in zip(sizes[-1], column, strict=True)]
        else:
            sizes.append(list(column))
        before = single
    if len(sizes) > 3:
        return None
    sizes = [[1] * len(shapes)] * (3 - len(sizes)) + sizes
    return [tuple(column[i] for column in sizes) for i in range(len(shapes))]


def moved(shape: Shape, order: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A permutation in the fewest axes: their sizes, and their order after it. No axis when nothing moves.

    The batch stays where it is. Axes of size 1 fall away; those that move together become one.
    """
    runs: list[list[int]] = []
    for axis in order:
        if axis == 0 or shape[axis] == 1:
            continue
        if runs and all(shape[i] == 1 for i in range(runs[-1][-1] + 1, axis)) and axis > runs[-1][-1]:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    if len(runs) < 2:
        return (), ()
    places = sorted(runs)
    return tuple(math.prod(shape[i] for i in run) for run in places), tuple(places.index(run) for run in runs)


def layer_shape(graph: Graph, name: str) -> Shape:
    """(C, H, W) of the layer of upstream that holds the value, or (count,) of one that is not an image."""
    if graph not in _known:
        shapes = {value.name: value.shape[1:] for value in graph.inputs}
        for node in graph.nodes:
            shapes[node.name] = _result(graph, node, [shapes[n] for n in node.inputs])
        _known[graph] = shapes
    return _known[graph][name]


def is_image(graph: Graph, name: str) -> bool:
    """Whether the value is (N, C, H, W) and its layer has just this shape."""
    return graph.value(name).shape[1:] == layer_shape(graph, name)


def has_channels(graph: Graph, name: str) -> bool:
    """Whether axis 1 of the value is the layer's channel: an image, or a vector in a layer of 1x1 maps."""
    shape, layer = graph.value(name).shape, layer_shape(graph, name)
    return shape[1:] == layer or (len(shape) == 2 and layer == (shape[1], 1, 1))


def joined(shapes: Sequence[Shape]) -> Shape:
    """The shape of a [route] over several layers: channels add up if heights and widths agree."""
    if len(shapes) == 1:
        return shapes[0]
    if len({s[1:] for s in shapes}) == 1 and len(shapes[0]) == 3:
        return (sum(s[0] for s in shapes), *shapes[0][1:])
    return (sum(map(math.prod, shapes)),)


def is_free(graph: Graph, node: Node) -> bool:
    """Whether the node's value is its input's layer, read in another shape."""
    if node.op == "slice":
        return node.shape == graph.value(node.inputs[0]).shape
    if node.op == "power":
        return (node.attrs["power"], node.attrs["scale"], node.attrs["shift"]) == (1, 1, 0)
    if node.op == "clip":
        return bounds(node) == (None, None)
    return node.op == "reshape" and node.shape[:1] == graph.value(node.inputs[0]).shape[:1]


def bounds(node: Node) -> tuple[float | None, float | None]:
    """Minimum and maximum of a clip node; None for no bound."""
    low, high = node.attrs["min"], node.attrs["max"]
    return (
        None if low is None or low == -math.inf else float(low),
        None if high is None or high == math.inf else float(high),
    )


def _result(graph: Graph, node: Node, inputs: list[Shape]) -> Shape:
    if is_free(graph, node) or node.op in _ELEMENTWISE:
        return inputs[0]
    if node.op == "concat":
        return joined(inputs)
    if node.op != "softmax" and len(node.shape) == 4:
        return node.shape[1:]
    if node.op != "softmax" and len(node.shape) == 2:
        return (node.shape[1], 1, 1)
    return (math.prod(node.shape[1:]),)
