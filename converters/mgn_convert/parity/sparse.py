"""Matrices with few entries, row by row; only what re-ranking needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mgn_convert.graph.types import Array
from mgn_convert.parity.distances import IntArray
from mgn_convert.parity.threads import over_rows

STEP = 512


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Row i has its entries at starts[i] to starts[i + 1] of columns (int32) and values (float64)."""

    starts: IntArray
    columns: Array
    values: Array

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of_sets(cls, members: Array) -> SparseRows:
        """Ones in the columns that a row of members (N, M) names once or more; below 0 is no column."""
        ordered = np.sort(members, axis=1)
        kept = ordered >= 0
        kept[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
        columns = ordered[kept]
        return cls(_starts(kept.sum(axis=1)), columns, np.ones(len(columns)))

    @classmethod
    def stacked(cls, parts: Sequence[SparseRows]) -> SparseRows:
        """The rows of all parts, one below the other."""
        counts = np.concatenate([np.diff(part.starts) for part in parts])
        return cls(
            _starts(counts),
            np.concatenate([part.columns for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def columns_of(self, row: int) -> Array:
        columns: Array = self.columns[self.starts[row] : self.starts[row + 1]]
        return columns

    def part(self, start: int, stop: int) -> SparseRows:
        """Some of the rows."""
        entries = slice(self.starts[start], self.starts[stop])
        starts = self.starts[start : stop + 1] - self.starts[start]
        return SparseRows(starts, self.columns[entries], self.values[entries])

    def turned(self, columns: int) -> SparseRows:
        """The transpose of a matrix with so many columns."""
        order = np.argsort(self.columns, kind="stable")
        rows = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))
        counts = np.bincount(self.columns, minlength=columns)
        return SparseRows(_starts(counts), rows[order], self.values[order])

    def mean_over(self, groups: Array) -> SparseRows:
        """Row i of the result is the mean of the rows groups[i] (N, K)."""

        def mean(start: int, stop: int) -> SparseRows:
            entries, lengths = self._entries(groups[start:stop].ravel())
            per_group = lengths.reshape(stop - start, -1).sum(axis=1)
            keys = np.repeat(np.arange(stop - start) * len(self), per_group) + self.columns[entries]
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            firsts = np.flatnonzero(np.diff(keys, prepend=-1))
            values = np.add.reduceat(self.values[entries[order]], firsts) / groups.shape[1]
            rows, columns = np.divmod(keys[firsts], len(self))
            counts = np.bincount(rows, minlength=stop - start)
            return SparseRows(_starts(counts), columns.astype(np.int32), values)

        return SparseRows.stacked(over_rows(mean, len(groups), STEP))

    def sum_of_minima(self, other: SparseRows, row: int, size: int) -> Array:
        """The sum over m of min(other[row, m], self[m, column]) for every column: (size,)."""
        mine = slice(other.starts[row], other.starts[row + 1])
        entries, lengths = self._entries(other.columns[mine])
        minima = np.minimum(np.repeat(other.values[mine], lengths), self.values[entries])
        return np.bincount(self.columns[entries], weights=minima, minlength=size)

    def _entries(self, rows: Array) -> tuple[IntArray, IntArray]:
        """Where the entries of these rows stand, one row after the other, and how many each has."""
        first = self.starts[rows]
        lengths = self.starts[rows + 1] - first
        ends = np.cumsum(lengths)
        return np.arange(lengths.sum()) + np.repeat(first - ends + lengths, lengths), lengths


def _starts(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
