"""A gallery index in FAISS, for galleries of hundreds of thousands and beyond, saved as a folder.

exact  IndexFlatIP, compares with every entry
hnsw   IndexHNSWFlat, a graph of neighbours: finds nearly all nearest ones, needs no training
ivf    IndexIVFFlat, lists around centres: the same with less memory; its centres come from the first entries
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.files import staged
from mgn_convert.graph.types import Array
from mgn_reid.matching.features import Features
from mgn_reid.matching.index import MemoryIndex

KINDS = ("exact", "hnsw", "ivf")
INDEX_FILE, FEATURES_FILE = "index.faiss", "entries.npz"

_NEIGHBOURS = 32
_SEARCH_WIDTH = 256
_POINTS_PER_CENTRE = 39
"""What FAISS wants at least to train one."""


class FaissIndex(MemoryIndex):
    """An index of one of KINDS. Raises MissingEngineError without faiss."""

    def __init__(self, entries: Features, kind: str = "exact") -> None:
        super().__init__(entries)
        self._index = _made(kind, entries.embeddings)
        self._index.add(entries.embeddings)

    def save(self, folder: Path) -> None:
        """Write the index and its entries as `folder`, whole or not at all; replaces one that is there.

        Raises UsageError for a folder that holds anything else.
        """
        faiss, folder = _faiss(), folder.resolve()
        if folder.exists() and (
            not folder.is_dir() or {path.name for path in folder.iterdir()} - {INDEX_FILE, FEATURES_FILE}
        ):
            raise UsageError(f"{folder} holds something else", remedy="another folder for the index")
        with staged(folder.parent) as (scratch, publish):
            made = scratch / folder.name
            made.mkdir()
            faiss.write_index(self._index, str(made / INDEX_FILE))
            self.entries.save(made / FEATURES_FILE)
            publish()

    @classmethod
    def open(cls, folder: Path) -> FaissIndex:
        """An index that was saved. Raises FileFormatError for a damaged one."""
        faiss = _faiss()
        entries = Features.load(folder / FEATURES_FILE)
        try:
            index = faiss.read_index(str(folder / INDEX_FILE))
        except (RuntimeError, MemoryError) as error:
            raise FileFormatError(
                f"{folder / INDEX_FILE} is no FAISS index", because=_reason(error)
            ) from None
        made = (index.ntotal, index.d, index.metric_type)
        if made != (*entries.embeddings.shape, faiss.METRIC_INNER_PRODUCT):
            raise FileFormatError(
                f"{folder} holds an index of other entries",
                because="each of the features beside it is an entry of the index, compared by inner product",
                got=f"{made[0]} of length {made[1]} for features {entries.embeddings.shape}",
                remedy="save the index again",
            )
        opened = cls.__new__(cls)
        MemoryIndex.__init__(opened, entries)
        opened._index = index
        return opened

    def _nearest(self, queries: Array, k: int) -> tuple[Array, Array]:
        products, places = self._index.search(queries, k)
        return places, 1 - products


def is_faiss_folder(folder: Path) -> bool:
    """Whether an index was saved there."""
    return (folder / INDEX_FILE).is_file()


def _made(kind: str, embeddings: Array) -> Any:
    faiss = _faiss()
    count, dimension = embeddings.shape
    if kind == "exact":
        return faiss.IndexFlatIP(dimension)
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimension, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efSearch = _SEARCH_WIDTH
        return graph
    if kind != "ivf":
        raise UsageError(f"there is no FAISS index {kind!r}", remedy="one of " + ", ".join(KINDS))
    centres = max(1, min(round(4 * math.sqrt(count)), count // _POINTS_PER_CENTRE))
    lists = faiss.index_factory(dimension, f"IVF{centres},Flat", faiss.METRIC_INNER_PRODUCT)
    lists.nprobe = max(1, centres // 4)
    lists.train(embeddings)
    return lists


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingEngineError(
            "FAISS is not installed", because=str(error), remedy="pip install 'mgn-convert[gallery]'"
        ) from None
    return faiss


def _reason(error: Exception) -> str:
    """The last line of what FAISS says, without its own source lines."""
    return str(error).strip().splitlines()[-1]
