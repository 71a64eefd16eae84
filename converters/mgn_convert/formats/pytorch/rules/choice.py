"""Channels that an image chooses by their scores: topk, and gather with its indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mgn_convert.formats.pytorch.rules.spec import Context, Indices, index_rule, rule
from mgn_convert.graph import Value


@dataclass(frozen=True)
class Ranking(Indices):
    """The channels (N, k, ...) with the k highest `scores` (N, C), the same along all axes from 2 on."""

    scores: Value
    k: int


@rule("aten.topk.default")
def topk(
    c: Context, x: Value, k: int, dim: int = -1, largest: bool = True, in_order: bool = True
) -> tuple[Value | None, Ranking]:
    if len(x.shape) != 2 or c.axis(dim) != 1:
        raise c.refuse("it chooses along another axis than the channels of (N, C)")
    if not in_order:
        raise c.refuse("the order of what it chooses is not fixed", "sorted=True")
    scores = x if largest else c.step("power", x, scale=-1.0)
    return c.add("top_channels", x, scores, k=k), Ranking("topk", scores, k)


@index_rule(
    "aten.view.default",
    "aten.reshape.default",
    "aten.unsqueeze.default",
    "aten.flatten.using_ints",
    "aten.expand.default",
    "aten.expand_as.default",
    "aten.repeat.default",
)
def spread(c: Context, indices: Indices, *sizes: Any) -> Indices:
    """(N, k) to (N, k, 1, 1) to (N, k, H, W): which channel stays the same along the new axes."""
    repeats = "expand" in str(c.node.target) or "repeat" in str(c.node.target)
    same_rank = len(c.in_shapes[0]) == len(c.out_shape)
    if not isinstance(indices, Ranking):
        raise c.refuse(f"it computes with the indices of {indices.call}")
    if c.out_shape[:2] != (c.batch, indices.k) or (repeats and not same_rank):
        raise c.refuse("it mixes the indices of a topk", "indices[:, :, None, None].expand(-1, -1, H, W)")
    return indices


@index_rule("aten.gather.default")
def gather(c: Context, x: Any, dim: int, indices: Any, sparse_grad: bool = False) -> Value:
    """Whole channels by the ranking of their scores."""
    if not isinstance(x, Value) or not isinstance(indices, Ranking):
        raise c.refuse("its index is not that of a topk over channels")
    if c.axis(dim) != 1 or c.out_shape[2:] != x.shape[2:]:
        raise c.refuse("it picks other things than whole channels")
    if indices.scores.shape != x.shape[:2]:
        raise c.refuse(f"the topk chose among {indices.scores.shape[1]} channels, and it has {x.shape[1]}")
    return c.add("top_channels", x, indices.scores, k=indices.k)


@index_rule("aten.take_along_dim.default")
def take_along_dim(c: Context, x: Any, indices: Any, dim: int | None = None) -> Value:
    """Gather, with indices (N, k, 1, 1) that need no expand."""
    if dim is None:
        raise c.refuse("it picks from all numbers of a batch", "dim=1")
    return gather(c, x, dim, indices)


@rule("aten.gather.default")
def gather_by_other_indices(c: Context, x: Any, dim: int, indices: Any, sparse_grad: bool = False) -> Value:
    raise c.refuse("its index is not that of a topk over channels")
