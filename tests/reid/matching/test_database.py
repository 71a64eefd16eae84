import json
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException
from small_features import RECORD, draw_features, plain_search

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.preprocess import Preprocessing
from mgn_reid.matching.database import DatabaseIndex
from mgn_reid.matching.index import Match

MADE = replace(RECORD, network="mgn pool=max", preprocessing=Preprocessing(384, 128))
GALLERY = draw_features("gallery", each=3, record=MADE)
QUERIES = draw_features("query", each=1, record=MADE)
FEW = draw_features("few", people=2, each=1, record=MADE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The place of a database that was filled and closed."""
    place = f"qdrant:{tmp_path_factory.mktemp('database') / 'people'}"
    DatabaseIndex.create(place, GALLERY).close()
    return place


@pytest.fixture(scope="module")
def index(filled):
    """The same database, opened again."""
    opened = DatabaseIndex.open(filled)
    yield opened
    opened.close()


@pytest.fixture
def place(tmp_path):
    return f"qdrant:{tmp_path / 'people'}"


def everything(index, queries=QUERIES):
    return [match.name for match in index.search(queries, 10_000)[0]]


@pytest.mark.parametrize("other_cameras", [False, True])
@pytest.mark.parametrize("k", [1, 5, 1000])
def test_a_database_opened_again_finds_what_a_plain_search_finds(index, k, other_cameras):
    found = index.search(QUERIES, k, other_cameras=other_cameras)
    expected = plain_search(QUERIES, GALLERY, k, other_cameras)
    for matches, wanted in zip(found, expected, strict=True):
        assert [match.name for match in matches] == [name for name, _ in wanted]
        distances = [distance for _, distance in wanted]
        np.testing.assert_allclose([match.distance for match in matches], distances, atol=1e-6)


@pytest.mark.parametrize("label", ["identities", "cameras"])
def test_the_same_camera_rule_leaves_out_nothing_for_a_query_with_an_unknown_label(index, label):
    queries = replace(QUERIES, **{label: np.full(len(QUERIES), -1)})
    assert index.search(queries, 60, other_cameras=True) == index.search(queries, 60)


def test_a_match_tells_all_of_its_entry_and_the_record_comes_back(index):
    found = index.search(GALLERY, 1)[1][0]
    picture = Path("/people/gallery/0001_c2_001.jpg")
    assert replace(found, distance=0.0) == Match("gallery/0001_c2_001.jpg", picture, 1, 2, 0.0)
    assert 0 <= found.distance < 1e-6
    assert (index.record, index.dimension) == (MADE, 24)


def test_all_batches_are_filled_in_and_searched(place, monkeypatch):
    sizes = []
    for name, batch_of in (("upsert", lambda a: a[1].ids), ("query_batch_points", lambda a: a[1])):
        whole = getattr(QdrantClient, name)

        def counted(client, *arguments, whole=whole, batch_of=batch_of, **options):
            sizes.append(len(batch_of(arguments)))
            return whole(client, *arguments, **options)

        monkeypatch.setattr(QdrantClient, name, counted)
    monkeypatch.setattr("mgn_reid.matching.database._UPSERT", 20)
    monkeypatch.setattr("mgn_reid.matching.database._SEARCH", 8)
    index = DatabaseIndex.create(place, GALLERY)
    assert sorted(everything(index)) == sorted(GALLERY.names)
    assert [matches[0].name for matches in index.search(GALLERY, 1)] == list(GALLERY.names)
    index.close()
    assert sizes == [20, 20, 14, 8, 8, 2, *[8] * 6, 6]


def test_filling_again_replaces_pictures_that_are_there_and_adds_others(place):
    DatabaseIndex.create(place, FEW).close()
    changed = replace(FEW, cameras=FEW.cameras + 10)
    DatabaseIndex.create(place, changed).close()
    more = draw_features("more", people=2, each=1, record=MADE)
    index = DatabaseIndex.create(place, more)
    assert sorted(everything(index)) == sorted(FEW.names + more.names)
    cameras = {match.camera for match in index.search(QUERIES, 100)[0] if match.name.startswith("few")}
    assert cameras == {11, 12, 13}
    index.close()


def test_collections_of_one_database_are_apart(place):
    DatabaseIndex.create(place, FEW).close()
    short = draw_features("short", people=2, each=1, dimension=12)
    DatabaseIndex.create(f"{place}#short", short).close()
    index = DatabaseIndex.open(f"{place}#short")
    assert sorted(everything(index, short)) == sorted(short.names)
    index.close()
    with pytest.raises(UsageError, match="has no collection 'lost'") as caught:
        DatabaseIndex.open(f"{place}#lost")
    assert caught.value.got == "gallery, short"


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        (draw_features("short", dimension=12, record=MADE), "different lengths"),
        (draw_features("other", record=replace(MADE, sha256="cd" * 32)), "different models"),
        (draw_features("flip", record=replace(MADE, flip=True)), "mirror images"),
    ],
)
def test_entries_that_cannot_be_compared_are_refused_and_the_database_stays_as_it_is(place, entries, what):
    DatabaseIndex.create(place, FEW).close()
    with pytest.raises(UsageError, match=what):
        DatabaseIndex.create(place, entries)
    index = DatabaseIndex.open(place)
    assert sorted(everything(index)) == sorted(FEW.names)
    index.close()


def test_queries_of_another_length_are_refused(index):
    with pytest.raises(UsageError, match="different lengths"):
        index.search(draw_features("query", dimension=12), 1)


def test_an_interrupted_filling_is_refused_until_it_is_done_again(place, monkeypatch):
    def interrupted(client, *arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(QdrantClient, "upsert", interrupted)
        DatabaseIndex.create(place, FEW)
    with pytest.raises(UsageError, match="is not complete") as caught:
        DatabaseIndex.open(place)
    assert "--index qdrant:" in caught.value.remedy
    DatabaseIndex.create(place, FEW).close()
    DatabaseIndex.open(place).close()


def test_a_database_that_another_holds_open_is_in_use(filled, index):
    with pytest.raises(UsageError, match="is in use"):
        DatabaseIndex.open(filled)


def test_folders_without_a_database_are_left_alone(tmp_path):
    with pytest.raises(UsageError, match="there is no Qdrant database"):
        DatabaseIndex.open(f"qdrant:{tmp_path / 'nowhere'}")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "thesis.txt").write_text("")
    for folder in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(UsageError, match="is no Qdrant database"):
            DatabaseIndex.create(f"qdrant:{folder}", FEW)
    with pytest.raises(UsageError, match="cannot be opened"):
        DatabaseIndex.create(f"qdrant:{tmp_path / 'thesis.txt' / 'below'}", FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="a database needs a place"):
        DatabaseIndex.create("qdrant:#people", FEW)


@pytest.mark.parametrize("damage", ["meta.json", "meta.json without collections", "sqlite", "points"])
def test_a_damaged_database_is_refused(place, tmp_path, damage):
    DatabaseIndex.create(place, FEW).close()
    storage = tmp_path / "people" / "collection" / "gallery" / "storage.sqlite"
    if damage == "sqlite":
        storage.write_bytes(b"no database" * 500)
    elif damage == "points":
        with sqlite3.connect(storage) as tables:
            tables.execute("UPDATE points SET point = ?", (b"no point",))
        tables.close()
    else:
        (tmp_path / "people" / "meta.json").write_text("{" if damage == "meta.json" else "{}")
    with pytest.raises(FileFormatError, match="is no Qdrant database, or damaged"):
        DatabaseIndex.open(place)


def test_a_collection_of_others_is_no_gallery(place, tmp_path):
    DatabaseIndex.create(place, FEW).close()
    meta = tmp_path / "people" / "meta.json"
    fields = json.loads(meta.read_text())
    del fields["collections"]["gallery"]["metadata"]["record"]["sha256"]
    meta.write_text(json.dumps(fields))
    with pytest.raises(FileFormatError, match=r"the collection 'gallery' in .* is no gallery"):
        DatabaseIndex.open(place)
    DatabaseIndex.create(f"{place}#another", FEW).close()


def test_a_point_without_a_name_is_refused(place):
    index = DatabaseIndex.create(place, FEW)
    point = index._client.scroll("gallery")[0][0].id
    index._client.delete_payload("gallery", keys=["name"], points=[point])
    with pytest.raises(FileFormatError, match=f"point {point} of the database has no name"):
        index.search(QUERIES, 100)
    index.close()


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    def refused(client, *arguments, **options):
        raise ResponseHandlingException(ConnectionRefusedError("connection refused"))

    monkeypatch.setattr(QdrantClient, "collection_exists", refused)
    for call in (DatabaseIndex.open, lambda place: DatabaseIndex.create(place, FEW)):
        with pytest.raises(UsageError, match="http://cluster:6333 does not answer") as caught:
            call("qdrant:http://cluster:6333#people")
        assert "connection refused" in caught.value.because
        assert "QDRANT_API_KEY" in caught.value.remedy


def test_without_the_client_the_extra_is_named(place, filled, monkeypatch):
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    for call in (lambda: DatabaseIndex.create(place, FEW), lambda: DatabaseIndex.open(filled)):
        with pytest.raises(MissingEngineError, match="the Qdrant client is not installed") as caught:
            call()
        assert caught.value.remedy == "pip install 'mgn-convert[gallery]'"
