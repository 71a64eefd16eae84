"""A gallery index in a Qdrant database: in a folder of its own, or the same client against a cluster by URL.

Qdrant rather than Milvus: its client alone is both the embedded database and the cluster's client, where
Milvus Lite needs pymilvus, pandas and pyarrow, and has no release for every system.

A point's payload has name, root, identity and camera; the collection's metadata has the record. The embedded
database compares each query with every entry and is meant for some 20,000 of them; a cluster searches a graph
(HNSW). It keeps its points as pickles: open only folders that you trust. What is done by URL has been tried
against no live cluster.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_reid.matching.features import Features, Record, check_dimensions
from mgn_reid.matching.index import Match, view_of

PREFIX = "qdrant:"
COLLECTION = "gallery"
API_KEY = "QDRANT_API_KEY"
"""The environment variable with a cluster's key."""

_UPSERT, _SEARCH = 256, 64
_TIMEOUT_S = 60


class DatabaseIndex:
    """A collection of people in a Qdrant database, made by `create` or `open`.

    place: a folder or a URL, after # the collection's name ("gallery" without).
    """

    def __init__(self, client: Any, place: str, collection: str) -> None:
        self._client, self._place, self._collection = client, place, collection
        with _answers(place):
            found = client.get_collection(collection)
        metadata = found.config.metadata or {}
        try:
            self.record = Record.from_json(metadata["record"])
            self.dimension = int(found.config.params.vectors.size)
            self._filling = bool(metadata["filling"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileFormatError(
                f"the collection {collection!r} in {place} is no gallery",
                because=f"its metadata lacks the record of the model: {error!r}",
                remedy="another collection's name after #",
            ) from None

    @classmethod
    def create(cls, place: str, entries: Features) -> DatabaseIndex:
        """Fill a new collection, or add to the one that is there; an interrupted run is made good by another.

        Raises UsageError for embeddings that cannot be compared with those in it or a database that does not
        answer, FileFormatError for a damaged one, MissingEngineError without qdrant_client.
        """
        folder, collection = _split(place)
        client = _client(folder)
        try:
            with _answers(folder):
                if not client.collection_exists(collection):
                    _make(client, folder, collection, entries)
            made = cls(client, folder, collection)
            made.add(entries)
        except BaseException:
            client.close()
            raise
        return made

    @classmethod
    def open(cls, place: str) -> DatabaseIndex:
        """A collection that was filled. Raises what `create` does, and UsageError where there is none."""
        folder, collection = _split(place)
        if not _is_url(folder) and not (Path(folder) / "meta.json").is_file():
            raise UsageError(f"there is no Qdrant database in {folder}")
        client = _client(folder)
        try:
            with _answers(folder):
                if not client.collection_exists(collection):
                    known = ", ".join(each.name for each in client.get_collections().collections)
                    raise UsageError(
                        f"{folder} has no collection {collection!r}", got=known or "an empty one"
                    )
            opened = cls(client, folder, collection)
            if opened._filling:
                raise UsageError(
                    f"the collection {collection!r} in {folder} is not complete",
                    because="filling it was interrupted",
                    remedy="fill it again with the same gallery: --gallery FEATURES --index qdrant:...",
                )
        except BaseException:
            client.close()
            raise
        return opened

    def add(self, entries: Features) -> None:
        """Put entries in; one with the picture of another takes its place.

        Raises UsageError for embeddings that cannot be compared with those in it.
        """
        from qdrant_client import models

        self.record.check_comparable(entries.record)
        check_dimensions(self.dimension, entries.dimension)
        with _answers(self._place):
            self._client.update_collection(self._collection, metadata={"filling": True})
            for start in range(0, len(entries), _UPSERT):
                rows = range(start, min(start + _UPSERT, len(entries)))
                batch = models.Batch(
                    ids=[str(uuid5(NAMESPACE_URL, entries.picture(row).as_posix())) for row in rows],
                    vectors=entries.embeddings[rows.start : rows.stop].tolist(),
                    payloads=[_payload(entries, row) for row in rows],
                )
                self._client.upsert(self._collection, batch, wait=True)
            self._client.update_collection(self._collection, metadata={"filling": False})

    def search(self, queries: Features, k: int, *, other_cameras: bool = False) -> list[list[Match]]:
        """See `GalleryIndex`."""
        from qdrant_client import models

        check_dimensions(queries.dimension, self.dimension)
        found: list[list[Match]] = []
        for start in range(0, len(queries), _SEARCH):
            requests = [
                models.QueryRequest(
                    query=queries.embeddings[row].tolist(),
                    limit=k,
                    with_payload=True,
                    filter=_other_cameras(queries, row) if other_cameras else None,
                )
                for row in range(start, min(start + _SEARCH, len(queries)))
            ]
            with _answers(self._place):
                responses = self._client.query_batch_points(self._collection, requests)
            found += [[_match(point) for point in response.points] for response in responses]
        return found

    def close(self) -> None:
        """Close the connection, or let go of the folder, which is locked until then."""
        self._client.close()


def _split(place: str) -> tuple[str, str]:
    folder, _, collection = place.removeprefix(PREFIX).partition("#")
    if not folder:
        raise UsageError(
            "a database needs a place", got=place, remedy="qdrant:FOLDER or qdrant:http://HOST:6333"
        )
    return folder, collection or COLLECTION


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _client(place: str) -> Any:
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise MissingEngineError(
            "the Qdrant client is not installed",
            because=str(error),
            remedy="pip install 'mgn-convert[gallery]'",
        ) from None
    if _is_url(place):
        key = os.environ.get(API_KEY)
        return QdrantClient(url=place, api_key=key, timeout=_TIMEOUT_S, check_compatibility=False)
    folder = Path(place)
    if folder.is_file() or (
        folder.is_dir() and any(folder.iterdir()) and not (folder / "meta.json").is_file()
    ):
        raise UsageError(f"{place} is no Qdrant database", remedy="an empty folder, or a new one")
    try:
        with warnings.catch_warnings():  # that a folder is no place for many entries stands above
            warnings.simplefilter("ignore")
            return QdrantClient(path=place)
    except RuntimeError as error:
        raise UsageError(f"the database {place} is in use", because=str(error)) from None
    except OSError as error:
        raise UsageError(f"the database {place} cannot be opened", because=str(error)) from None
    except Exception as error:  # whatever unpickling and SQLite make of a damaged file
        raise FileFormatError(f"{place} is no Qdrant database, or damaged", because=repr(error)) from None


@contextmanager
def _answers(place: str) -> Iterator[None]:
    """Turns the client's failures into ours."""
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except (ApiException, QdrantException) as error:
        raise UsageError(
            f"the database {place} does not answer as it should",
            because=str(error),
            remedy=f"its URL, and its key in {API_KEY}",
        ) from None


def _make(client: Any, place: str, collection: str, entries: Features) -> None:
    from qdrant_client import models

    client.create_collection(
        collection,
        vectors_config=models.VectorParams(size=entries.dimension, distance=models.Distance.COSINE),
        metadata={"record": entries.record.to_json(), "filling": True},
    )
    if _is_url(place):  # the embedded database has no such index
        for key in ("identity", "camera"):
            client.create_payload_index(collection, key, models.PayloadSchemaType.INTEGER)


def _payload(entries: Features, row: int) -> dict[str, Any]:
    return {
        "name": entries.names[row],
        "root": str(entries.root),
        "identity": int(entries.identities[row]),
        "camera": int(entries.cameras[row]),
    }


def _other_cameras(queries: Features, row: int) -> Any:
    """Everything but the query's identity through the query's camera; None where either is unknown."""
    from qdrant_client import models

    view = view_of(queries, row)
    if view is None:
        return None
    same: list[Any] = [
        models.FieldCondition(key=key, match=models.MatchValue(value=label))
        for key, label in zip(("identity", "camera"), view, strict=True)
    ]
    return models.Filter(must_not=[models.Filter(must=same)])


def _match(point: Any) -> Match:
    known = point.payload or {}
    if lost := [key for key in ("name", "root", "identity", "camera") if key not in known]:
        raise FileFormatError(f"point {point.id} of the database has no {lost[0]}", got=f"payload {known}")
    picture = Path(known["root"]) / known["name"]
    return Match(known["name"], picture, known["identity"], known["camera"], max(0.0, 1 - point.score))
