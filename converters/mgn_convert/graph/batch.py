"""Shapes that leave the batch open."""

from __future__ import annotations

from mgn_convert.graph.types import Shape


def batch_free(before: Shape, after: Shape, batch: int) -> tuple[int, ...]:
    """The reshape from `before` to `after` for any batch: 0 keeps an axis, one -1 takes the rest.

    batch: the size that marks axes which hold the batch, alone or merged with others.
    """
    if before[0] == after[0] and (before[0] == batch or not _holding(after, batch)):
        return (0, *after[1:])
    pattern = list(after)
    holding = _holding(after, batch)
    if holding:
        pattern[holding[0]] = -1
    if pattern[0] == before[0]:
        pattern[0] = 0
    return tuple(pattern)


def _holding(shape: Shape, batch: int) -> list[int]:
    return [i for i, n in enumerate(shape) if n % batch == 0]
