"""FX graph to simpler FX graph with the same numbers: what the rules then need not know."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

from mgn_convert.graph.batch import batch_free

SPLITS = {
    "aten.split.Tensor",
    "aten.split.sizes",
    "aten.split_with_sizes.default",
    "aten.chunk.default",
    "aten.unbind.int",
}
COPIES = {
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.alias.default",
    "aten.detach.default",
    "aten.lift_fresh_copy.default",
    "aten.dropout.default",
    "aten._to_copy.default",
    "aten.to.dtype",
    "aten.expand.default",
    "aten.slice.Tensor",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.view.default",
    "aten.reshape.default",
    "aten.flatten.using_ints",
}
"""Calls that copy their first argument, where shape and type stay."""
_SIZED = {
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.squeeze.default",
}


_REPEATS = {"aten.expand.default", "aten.repeat.default"}


def simplify(module: fx.GraphModule, images: str, batch: int) -> None:
    """In place: no dead code, no copies, splits as slices, and sizes that leave the batch open."""
    graph = module.graph
    _drop_dead(graph)
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        name = str(node.target)
        if name in COPIES and _is_copy(node):
            node.replace_all_uses_with(node.args[0])
        elif node.target is operator.getitem:
            _open_split(graph, node)
        elif name in _SIZED:
            _open_batch(node, batch)
        elif name == "aten.expand.default" and _same_batch(node, batch):
            node.args = (node.args[0], [-1, *node.args[1][1:]])
        elif name in _REPEATS:
            _open_repeat(graph, node, images, batch)
    _drop_dead(graph)
    for node in list(graph.nodes):
        if str(node.target) == "aten.permute.default":
            _select_before(graph, node)
    _drop_dead(graph)


def _drop_dead(graph: fx.Graph) -> None:
    """Remove calls without users. Every call is functional by now; asserts on shapes go too."""
    for node in reversed(list(graph.nodes)):
        if node.op in ("call_function", "get_attr") and not node.users:
            graph.erase_node(node)


def _is_copy(node: fx.Node) -> bool:
    source = node.args[0]
    if not isinstance(source, fx.Node) or (str(node.target) == "aten.dropout.default" and node.args[2]):
        return False
    before, after = source.meta.get("val"), node.meta.get("val")
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return False
    return before.dtype == after.dtype and before.shape == after.shape


def _same_batch(node: fx.Node, batch: int) -> bool:
    source: Any = node.args[0]
    before, after = source.meta["val"].shape, node.meta["val"].shape
    return len(before) == len(after) and before[0] == after[0] == batch


def _open_batch(node: fx.Node, batch: int) -> None:
    """Make a view's sizes fit any batch; a bare squeeze keeps the batch axis even at batch 1."""
    source: Any = node.args[0]
    before, after = source.meta["val"].shape, node.meta["val"].shape
    if not all(isinstance(n, int) for n in (*before, *after)) or not before or not after:
        return
    pattern = list(batch_free(tuple(before), tuple(after), batch))
    if pattern[0] == 0:
        pattern[0] = after[0] if -1 in pattern else -1
    node.target = torch.ops.aten.reshape.default
    node.args = (source, pattern)


def _open_split(graph: fx.Graph, node: fx.Node) -> None:
    """One part of a split, chunk or unbind as a slice or selection of its own."""
    source: Any = node.args[0]
    index: Any = node.args[1]
    if not isinstance(source, fx.Node) or source.op != "call_function":
        return
    name = str(source.target)
    given = [*source.args, *source.kwargs.values()]
    x: Any = given[0]
    with graph.inserting_before(node):
        if name in SPLITS - {"aten.unbind.int"}:
            axis: Any = given[2] if len(given) > 2 else 0
            sizes = [part.shape[axis] for part in source.meta["val"]]
            start = sum(sizes[:index])
            target: Any = torch.ops.aten.slice.Tensor
            new = graph.call_function(target, (x, axis, start, start + sizes[index]))
        elif name == "aten.unbind.int":
            axis = given[1] if len(given) > 1 else 0
            new = graph.call_function(torch.ops.aten.select.int, (x, axis, index))
        else:
            return
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)


def _open_repeat(graph: fx.Graph, node: fx.Node, images: str, batch: int) -> None:
    """Repeat a constant as often as there are images, not as often as there were when it was traced."""
    source: Any = node.args[0]
    sizes: Any = node.args[1]
    after = node.meta["val"].shape
    if sizes[0] != batch or after[0] != batch or len(source.meta["val"].shape) != len(after):
        return
    if source.meta["val"].shape[0] != 1:
        return
    entry = next(n for n in graph.nodes if n.name == images)
    with graph.inserting_before(node):
        count = graph.call_function(torch.ops.aten.sym_size.int, (entry, 0))
    count.meta = {**node.meta, "val": batch}
    node.args = (source, [count, *sizes[1:]])


def _select_before(graph: fx.Graph, node: fx.Node) -> None:
    """Parts of a permutation that moves the images off axis 0 are permutations of parts.

    So queries, keys and values that one layer makes, (N, L, 3, heads, width) permuted to
    (3, N, heads, L, width), never hold the images on axis 1.
    """
    source: Any = node.args[0]
    given: Any = node.args[1]
    order = [axis % len(given) for axis in given]
    picks = [user for user in node.users if str(user.target) == "aten.select.int" and user.args[1] == 0]
    if order[0] == 0 or order[1:].count(0) != 1 or len(picks) < len(node.users):
        return
    for pick in picks:
        kept = [axis - (axis > order[0]) for axis in order[1:]]
        with graph.inserting_before(pick):
            part = graph.call_function(torch.ops.aten.select.int, (source, order[0], pick.args[2]))
            turned = graph.call_function(torch.ops.aten.permute.default, (part, kept))
        part.meta = {**node.meta, "val": source.meta["val"].select(order[0], pick.args[2])}
        turned.meta = dict(pick.meta)
        pick.replace_all_uses_with(turned)
