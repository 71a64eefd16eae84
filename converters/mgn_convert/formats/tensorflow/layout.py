"""Where axes are: a value of 4 axes is N, C, H, W in the graph, N, H, W, C in the file; others are alike."""

from __future__ import annotations

from collections.abc import Sequence

ANY = -1
"""A size that depends on the batch."""

MAPS = (0, 2, 3, 1)


def storage(rank: int) -> tuple[int, ...]:
    """The graph's axes in the order in which the file has them."""
    return MAPS if rank == 4 else tuple(range(rank))


def stored(sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes by the graph's axes as sizes by the file's."""
    return tuple(sizes[axis] for axis in storage(len(sizes)))


def place(axis: int, rank: int) -> int:
    """Where the file has the graph's `axis`, which may count from the end."""
    return storage(rank).index(axis % rank)


def keeps(sizes: Sequence[int], order: Sequence[int]) -> bool:
    """Whether taking the axes of `sizes` in `order` moves no value in memory: all that move have size 1."""
    kept = [axis for axis in order if sizes[axis] != 1]
    return kept == sorted(kept)
