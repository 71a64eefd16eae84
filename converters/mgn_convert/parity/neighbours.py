"""The k nearest of every vector among all of them, and the farthest, from half of the products.

The table of products is symmetric: a tile of it serves the rows it stands in and, turned round, the rows of
its columns. The vectors are taken in random order. The first tile of every row then is a fair sample, and the
k-th nearest in it lets few of the others through, however these lie. What has come through is cut to k as
often as it has grown to 4 k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgn_convert.graph.types import Array
from mgn_convert.parity.distances import IntArray, Vectors
from mgn_convert.parity.threads import over_rows

TILE = 4096
STEP = 64
GROWTH = 4
Candidates = tuple[Array, Array, Array]


@dataclass(frozen=True, eq=False)
class Union:
    """Query and gallery vectors as one list of unit vectors, queries first."""

    query: Vectors
    gallery: Vectors

    def __len__(self) -> int:
        return len(self.query.rows) + len(self.gallery.rows)

    def unit(self, which: IntArray) -> Array:
        """Unit vectors (n, D) at these places."""
        queries = len(self.query.rows)
        found = np.empty((len(which), self.query.rows.shape[1]), np.float32)

        def fill(start: int, stop: int) -> None:
            part, there = which[start:stop], found[start:stop]
            of_query = part < queries
            there[of_query] = self.query.unit(part[of_query])
            there[~of_query] = self.gallery.unit(part[~of_query] - queries)

        over_rows(fill, len(which), STEP)
        return found

    def products(self, which: IntArray, vector: Array) -> Array:
        """Products of a vector (D,) with unit vectors at these places, ascending: (n,)."""
        queries = len(self.query.rows)
        split = int(np.searchsorted(which, queries))
        of_gallery = self.gallery.products(which[split:] - queries, vector)
        return np.concatenate([self.query.products(which[:split], vector), of_gallery])


@dataclass(frozen=True, eq=False)
class Neighbours:
    """indices (N, k) int32 of the nearest, itself included, from near to far, of equal ones first the first.

    squared (N, k): their squared Euclidean distances; farthest (N,): the largest one to any vector. float32.
    """

    indices: Array
    squared: Array
    farthest: Array


def neighbours(union: Union, k: int) -> Neighbours:
    """The min(k, N) nearest of every one of N unit vectors. Every product is computed."""
    n, k = len(union), min(k, len(union))
    order = np.random.default_rng(0).permutation(n)
    width = max(TILE, k)
    tiles = [_Tile(order[start : start + width], k) for start in range(0, n, width)]
    for i, columns in enumerate(tiles):
        there = union.unit(columns.places)
        for rows in tiles[i:]:
            here = there if rows is columns else union.unit(rows.places)
            _take(here @ there.T, rows, columns, first=i == 0)
        columns.finish()
    indices, squared = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    farthest = np.empty(n, np.float32)
    for tile in tiles:
        indices[tile.places] = tile.indices.reshape(-1, k)
        squared[tile.places] = 2 - 2 * tile.products.reshape(-1, k)
        farthest[tile.places] = 2 - 2 * tile.lowest
    return Neighbours(indices, squared, farthest)


class _Tile:
    """Some of the vectors, and the candidates for their neighbours.

    places (n,): where the vectors stand in the union; least (n,): the product that makes a candidate; lowest
    (n,): the smallest product so far; rows, indices, products (m,): of every candidate the row in the tile,
    the place in the union, and the product.
    """

    def __init__(self, places: IntArray, k: int) -> None:
        self.places, self.k = places, k
        self.least = np.full(len(places), -np.inf, np.float32)
        self.lowest = np.full(len(places), np.inf, np.float32)
        self.rows = self.indices = np.empty(0, np.int32)
        self.products = np.empty(0, np.float32)

    def add(self, found: list[Candidates]) -> None:
        rows, indices, products = (np.concatenate(parts) for parts in zip(*found, strict=True))
        self.rows = np.concatenate([self.rows, rows.astype(np.int32)])
        self.indices = np.concatenate([self.indices, indices.astype(np.int32)])
        self.products = np.concatenate([self.products, products])
        if len(self.rows) > GROWTH * self.k * len(self.places):
            self.cut()

    def cut(self) -> Array:
        """Leave the k best of every row and what equals the last of them; returns the keys that sort them."""
        keys = 4.0 * self.rows - self.products
        ascending = np.sort(keys)
        starts = np.searchsorted(ascending, 4.0 * np.arange(len(self.places)) - 2)
        bounds = ascending[starts + self.k - 1]
        kept = keys <= bounds[self.rows]
        self.rows, self.indices, self.products = self.rows[kept], self.indices[kept], self.products[kept]
        self.least = (4.0 * np.arange(len(self.places)) - bounds).astype(np.float32)
        return keys[kept]

    def finish(self) -> None:
        """Leave exactly k per row, in order."""
        keys = self.cut()
        order = np.lexsort((self.indices, keys))
        rows = self.rows[order]
        starts = np.searchsorted(rows, np.arange(len(self.places)))
        order = order[np.arange(len(rows)) - starts[rows] < self.k]
        self.rows, self.indices, self.products = self.rows[order], self.indices[order], self.products[order]


def _take(products: Array, rows: _Tile, columns: _Tile, *, first: bool) -> None:
    """Hand the products (rows, columns) of two tiles to both."""
    if rows is columns:
        np.fill_diagonal(products, 1)
    width = products.shape[1]

    def of_rows(start: int, stop: int) -> Candidates:
        part = np.minimum(products[start:stop], 1, out=products[start:stop])
        if first:
            rows.least[start:stop] = np.partition(part, width - rows.k, axis=1)[:, width - rows.k]
        np.minimum(rows.lowest[start:stop], part.min(axis=1), out=rows.lowest[start:stop])
        at = np.flatnonzero(part >= rows.least[start:stop, None])
        return start + at // width, columns.places[at % width], part.ravel()[at]

    def of_columns(start: int, stop: int) -> tuple[Candidates, Array]:
        part = products[start:stop]
        at = np.flatnonzero(part >= columns.least)
        return (at % width, rows.places[start + at // width], part.ravel()[at]), part.min(axis=0)

    rows.add(over_rows(of_rows, len(products), STEP))
    if rows is not columns:
        turned = over_rows(of_columns, len(products), STEP)
        columns.add([candidates for candidates, _ in turned])
        columns.lowest = np.min([columns.lowest, *(lowest for _, lowest in turned)], axis=0)
