"""Values that hold the images of a batch elsewhere than on axis 0, turned so that they hold them there.

PyTorch's attention works on (L, N, E), its heads on (N * heads, L, d); Caffe's files turn maps as
(N * C, 1, H, W). Engines that keep images apart, as Darknet and the portable Caffe files do, compute the same
on (N, L, E), (N, heads, L, d) and (N, C, 1, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mgn_convert.errors import GraphError
from mgn_convert.graph import Graph, GraphBuilder, Node, Origin, Shape, Value, rewrite, with_batch

_PROBE = 13  # a batch that no axis is a multiple of by chance: compared with batch 1, never run
_ALONE = frozenset(
    ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "gelu", "softplus", "abs", "exp", "log", "power", "clip")
)
_OF_MAPS = frozenset(("conv", "conv_transpose", "max_pool", "avg_pool", "batch_norm", "instance_norm"))
_TOGETHER = frozenset(("add", "sub", "mul", "div", "maximum", "matmul", "concat"))


@dataclass(frozen=True)
class _Place:
    """Where the images are in a value that has this shape for one image.

    `axis` has outer * N * inner elements. Turned, the value is (N, all other axes), with an axis of
    outer * inner in the old place where that is more than 1.
    """

    shape: Shape
    axis: int
    outer: int = 1

    @property
    def is_first(self) -> bool:
        return self.axis == 0 and self.shape[0] == 1

    @property
    def kept(self) -> list[int]:
        """The old axes behind the images, in order."""
        return [i for i in range(len(self.shape)) if i != self.axis or self.shape[i] > 1]

    @property
    def turned(self) -> Shape:
        return (1, *(self.shape[i] for i in self.kept))

    def new(self, axis: int) -> int:
        """Where an old axis is in the turned value."""
        return 1 + self.kept.index(axis % len(self.shape))


def images_first(graph: Graph, *, merged: bool = True) -> Graph:
    """The graph with whole stretches of such values turned; a stretch in which one cannot be turned stays.

    merged: also stretches that hold images on axis 0 throughout, merged with others behind them. Engines that
    let a batch change its size need not pay for these, whose weights are repeated.
    """
    places = _places(graph)
    turning = _to_turn(graph, places, merged)

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        after = places.get(node.name)
        if after is None or turning.isdisjoint((node.name, *node.inputs)):
            return None
        met = [place for name in node.inputs if (place := places.get(name))]
        # A turned value is no tensor of the original.
        origin = node.origin if after.is_first else Origin("", node.origin.module, node.origin.source)
        return _turned(builder, node, inputs, met, after, origin)

    return rewrite(graph, rule).pruned() if turning else graph


def _places(graph: Graph) -> dict[str, _Place | None]:
    """By value; None for constants and for what cannot be told."""
    try:
        probe = with_batch(graph, _PROBE)
    except GraphError:
        return {}
    places: dict[str, _Place | None] = {v.name: _Place(v.shape, 0) for v in graph.inputs}
    for node, other in zip(graph.nodes, probe.nodes, strict=True):
        axes = [i for i, (n, m) in enumerate(zip(node.shape, other.shape, strict=True)) if m != n]
        known = [place for name in node.inputs if (place := places.get(name))]
        found = None
        if len(axes) == 1 and known and other.shape[axes[0]] == _PROBE * node.shape[axes[0]]:
            found = _Place(node.shape, axes[0], _outer(node, known[0], axes[0]))
        places[node.name] = found
    return places


def _outer(node: Node, before: _Place, axis: int) -> int:
    """How much of the axis counts slower than the images. 0: they are not in one piece."""
    if node.op != "reshape":
        return before.outer
    slower, rest = divmod(math.prod(before.shape[: before.axis]) * before.outer, math.prod(node.shape[:axis]))
    return 0 if rest or node.shape[axis] % max(slower, 1) else slower


def _to_turn(graph: Graph, places: Mapping[str, _Place | None], merged: bool) -> set[str]:
    """The values of all stretches to turn: of values that hang together, each node among which can follow."""
    stretch: dict[str, set[str]] = {}
    stuck: set[str] = set()
    for node in graph.nodes:
        near = {n for n in (node.name, *node.inputs) if (p := places.get(n)) and not p.is_first}
        whole = near.union(*(stretch.get(name, ()) for name in near))
        stretch.update(dict.fromkeys(whole, whole))
        is_output = node.name in near and node.name in graph.outputs
        if near and (is_output or not _can_follow(graph, node, places)):
            stuck |= near
    away = {n for n in stretch if merged or ((p := places[n]) and (p.axis, p.outer) != (0, 1))}
    return {name for name, whole in stretch.items() if whole & away and not whole & stuck}


def _can_follow(graph: Graph, node: Node, places: Mapping[str, _Place | None]) -> bool:
    met = [places.get(name) for name in node.inputs]
    after = places.get(node.name)
    if after is None or not after.outer or any(p is not None and not p.outer for p in met):
        return False
    before = next(p for p in met if p is not None)
    axis, rank = before.axis, len(before.shape)
    if node.op in _TOGETHER:
        return _are_alike(graph, node, met) and (
            axis < rank - 2
            if node.op == "matmul"
            else node.op != "concat" or node.attrs["axis"] % rank != axis
        )
    attrs = node.attrs
    free: dict[str, Callable[[], bool]] = {
        "reshape": lambda: True,
        "permute": lambda: True,
        "linear": lambda: axis != rank - 1,
        "softmax": lambda: attrs["axis"] % rank != axis,
        "slice": lambda: attrs["axis"] % rank != axis,
        "reduce": lambda: axis not in {a % rank for a in attrs["axes"]},
        "scale": lambda: not attrs["axis"] <= axis < attrs["axis"] + _span(node),
    }
    if node.op in _OF_MAPS:
        return axis == 0 and before.outer == 1
    return node.op in _ALONE or (node.op in free and free[node.op]())


def _span(node: Node) -> int:
    return max(array.ndim for array in node.params.values())


def _are_alike(graph: Graph, node: Node, met: list[_Place | None]) -> bool:
    """Operands with their images in one place, or constants that do not reach it."""
    first = next(p for p in met if p is not None)
    for name, place in zip(node.inputs, met, strict=True):
        shape = graph.value(name).shape
        if place is None and (node.op == "concat" or len(shape) >= len(first.shape) - first.axis):
            return False
        if place and (len(shape), place.axis, place.outer) != (len(first.shape), first.axis, first.outer):
            return False
        if place and place.shape[place.axis] != first.shape[first.axis]:
            return False
    return True


def _turned(
    builder: GraphBuilder,
    node: Node,
    inputs: tuple[Value, ...],
    met: list[_Place],
    after: _Place,
    origin: Origin,
) -> Value:
    """What stands for the node, from turned inputs."""
    before, attrs = met[0], dict(node.attrs)

    def add(op: str, *values: Value, **fields: object) -> Value:
        return builder.add(op, *values, name=node.name, origin=origin, **fields)

    def step(op: str, x: Value, suffix: str, **fields: object) -> Value:
        passing = Origin("", node.origin.module, node.origin.source)
        return builder.add(op, x, name=f"{node.name}.{suffix}", origin=passing, **fields)

    view = (0, *after.turned[1:])
    if node.op == "reshape":
        return add("reshape", inputs[0], shape=view)
    if node.op == "permute":
        moved = [attrs["order"][i] for i in after.kept]
        return add("permute", inputs[0], order=(0, *(before.new(axis) for axis in moved)))
    if (sizes := _swapped(node, before)) is not None:
        apart = step("reshape", inputs[0], "apart", shape=(0, before.shape[0], *sizes))
        return add("reshape", step("permute", apart, "swapped", order=(0, 1, 3, 2, 4)), shape=view)
    if node.op in _OF_MAPS:
        # (N * f, C, H, W) is seen as (N, f * C, H, W), with f times the groups and the same weights in each.
        times, channels, *size = before.shape
        x = step("reshape", inputs[0], "image", shape=(0, times * channels, *size))
        params = {k: np.tile(v, (times, *(1,) * (v.ndim - 1))) for k, v in node.params.items()}
        if "groups" in attrs:
            attrs["groups"] *= times
        return add("reshape", step(node.op, x, "each", **attrs, **params), shape=view)
    if "axis" in attrs:
        attrs["axis"] = before.new(attrs["axis"])
    if "axes" in attrs:
        attrs["axes"] = tuple(before.new(axis) for axis in attrs["axes"])
    return add(node.op, *inputs, **attrs, **node.params)


def _swapped(node: Node, before: _Place) -> tuple[int, int, int] | None:
    """(P, K, R) where a convolution does no more than to swap P and K.

    (n, 1, P, K * R) to (n, K, P, R) by K kernels of 1 x K with dilation R, or (n, P, K, R) to
    (n, 1, K, P * R) by a transposed convolution with P kernels. Kernel i is 1 at i, or at i * R, else 0.
    """
    if node.op not in ("conv", "conv_transpose") or before.axis != 0 or before.outer != 1:
        return None
    weight, plain = node.params["weight"], {"stride": (1, 1), "padding": (0, 0), "output_padding": (0, 0)}
    if (
        any(tuple(node.attrs.get(key, value)) != value for key, value in plain.items())
        or "bias" in node.params
    ):
        return None
    _, channels, height, width = before.shape
    count, reach = weight.shape[0], weight.shape[3]
    if weight.shape[1:3] != (1, 1) or node.attrs["dilation"][0] != 1 or node.attrs["groups"] != 1:
        return None
    if node.op == "conv":
        rest, step = node.attrs["dilation"][1], 1
        sizes = (height, count, rest)
        fits = channels == 1 and reach == count and width == count * rest
    else:
        rest = step = width
        sizes = (channels, height, rest)
        fits = reach == (count - 1) * rest + 1 and tuple(node.attrs["dilation"]) == (1, 1)
    ones = np.zeros((count, reach), weight.dtype)
    if not fits:
        return None
    ones[np.arange(count), np.arange(count) * step] = 1
    return sizes if np.array_equal(weight[:, 0, 0], ones) else None
