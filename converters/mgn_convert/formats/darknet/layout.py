"""What shape a Darknet layer has that holds a value of the graph.

Darknet keeps (C, H, W) with every layer, or only a count after a layer that mixes sizes. A reshape that keeps
the batch moves nothing and so is no layer at all: its value lives in the layer of its input, in that layer's
shape, which need not be the value's.
"""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

from mgn_convert.graph.types import Graph, Node, Shape

_ELEMENTWISE = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "clip", "batch_norm", "scale", "add", "sub")
_known: WeakKeyDictionary[Graph, dict[str, Shape]] = WeakKeyDictionary()


def layer_shape(graph: Graph, name: str) -> Shape:
    """(C, H, W) of the layer that holds the value, or (count,) of one that is not an image."""
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


def joined(shapes: list[Shape]) -> Shape:
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
    return node.op == "reshape" and node.shape[:1] == graph.value(node.inputs[0]).shape[:1]


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
