"""Galleries as a command line names them, and the indexes that they are searched with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mgn_convert.errors import UsageError
from mgn_reid.matching import faiss_index
from mgn_reid.matching.database import PREFIX, DatabaseIndex
from mgn_reid.matching.faiss_index import FaissIndex
from mgn_reid.matching.features import SUFFIX, Features
from mgn_reid.matching.index import ExactIndex, GalleryIndex

INDEXES = "exact, faiss, faiss:hnsw, faiss:ivf or qdrant:FOLDER-or-URL[#COLLECTION]"


def is_features_file(path: Path) -> bool:
    """Whether a path names a features file rather than pictures."""
    return path.suffix == SUFFIX


def stored_index(gallery: str) -> GalleryIndex | None:
    """The index that `gallery` is: a database or a saved FAISS index; None for features and pictures."""
    if gallery.startswith(PREFIX):
        return DatabaseIndex.open(gallery)
    if faiss_index.is_faiss_folder(Path(gallery)):
        return FaissIndex.open(Path(gallery))
    return None


def index_of(kind: str) -> Callable[[Features], GalleryIndex]:
    """What makes an index of features, by its name; a database is filled with them.

    Raises UsageError for an unknown name.
    """
    if kind == "exact":
        return ExactIndex
    if kind == "faiss":
        return FaissIndex
    if kind.startswith(PREFIX):
        return lambda entries: DatabaseIndex.create(kind, entries)
    family, _, choice = kind.partition(":")
    if family == "faiss" and choice in faiss_index.KINDS:
        return lambda entries: FaissIndex(entries, choice)
    raise UsageError(f"there is no index {kind!r}", remedy=f"one of {INDEXES}")
