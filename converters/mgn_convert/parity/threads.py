"""Rows of an array shared out among the cores; NumPy lets go of the interpreter where the work is."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Found = TypeVar("Found")


def over_rows(function: Callable[[int, int], Found], rows: int, step: int) -> list[Found]:
    """function(start, stop) of every run of `step` rows out of `rows`, in order.

    The runs must not write to the same places. The first error is raised.
    """
    starts = range(0, rows, step)
    cores = min(os.cpu_count() or 1, len(starts))
    if cores <= 1:
        return [function(start, min(start + step, rows)) for start in starts]
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(lambda start: function(start, min(start + step, rows)), starts))
