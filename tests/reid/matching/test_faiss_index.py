import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from small_features import draw_features, plain_search

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_reid.matching.faiss_index import KINDS, FaissIndex, is_faiss_folder
from mgn_reid.matching.gallery import index_of
from mgn_reid.matching.index import ExactIndex

GALLERY, QUERIES = draw_features("gallery", each=3), draw_features("query", each=1)
LARGE = draw_features("gallery", people=40, cameras=4, each=2)


def plain(found):
    return [[(match.name, match.distance) for match in matches] for matches in found]


def assert_same(found, expected):
    assert [[name for name, _ in row] for row in plain(found)] == [[n for n, _ in row] for row in expected]
    distances = [[d for _, d in row] for row in plain(found)]
    for got, wanted in zip(distances, expected, strict=True):
        np.testing.assert_allclose(got, [d for _, d in wanted], atol=1e-6)


@pytest.mark.parametrize("other_cameras", [False, True])
@pytest.mark.parametrize("k", [1, 5, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_in_a_small_gallery_what_a_plain_search_finds(kind, k, other_cameras):
    found = FaissIndex(GALLERY, kind).search(QUERIES, k, other_cameras=other_cameras)
    assert_same(found, plain_search(QUERIES, GALLERY, k, other_cameras))


def test_lists_around_centres_find_most_of_the_nearest():
    queries = draw_features("query", people=40, cameras=4, each=1)
    index = FaissIndex(LARGE, "ivf")
    assert index._index.nlist == 320 // 39
    found, exact = index.search(queries, 3), ExactIndex(LARGE).search(queries, 3)
    both = [len({m.name for m in a} & {m.name for m in b}) for a, b in zip(found, exact, strict=True)]
    assert 0.5 < np.mean(both) / 3 < 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_opens_as_it_was(tmp_path, kind):
    index = FaissIndex(LARGE, kind)
    index.save(tmp_path / "new" / "index")
    assert is_faiss_folder(tmp_path / "new" / "index")
    opened = FaissIndex.open(tmp_path / "new" / "index")
    assert type(opened._index) is type(index._index)
    assert opened.record == index.record
    queries = draw_features("query", people=40, cameras=4, each=1)
    assert opened.search(queries, 7, other_cameras=True) == index.search(queries, 7, other_cameras=True)


def test_the_working_folder_takes_an_index_while_it_is_empty(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    FaissIndex(GALLERY).save(Path())
    assert FaissIndex.open(tmp_path / "here").entries.names == GALLERY.names


def test_saving_replaces_an_index_but_nothing_else(tmp_path):
    FaissIndex(LARGE).save(tmp_path / "index")
    FaissIndex(GALLERY).save(tmp_path / "index")
    assert FaissIndex.open(tmp_path / "index").entries.names == GALLERY.names
    (tmp_path / "index" / "thesis.txt").write_text("my only copy")
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "index", tmp_path / "file", tmp_path / "index" / ".."):
        with pytest.raises(UsageError, match="holds something else"):
            FaissIndex(GALLERY).save(folder)
    assert (tmp_path / "index" / "thesis.txt").read_text() == "my only copy"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_a_damaged_index_is_refused(tmp_path, share):
    FaissIndex(GALLERY, "hnsw").save(tmp_path / "index")
    path = tmp_path / "index" / "index.faiss"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileFormatError, match=r"index.faiss is no FAISS index") as caught:
        FaissIndex.open(tmp_path / "index")
    assert "\n" not in caught.value.because


def test_an_index_that_claims_more_than_memory_holds_is_refused(tmp_path, monkeypatch):
    def claims(name):
        raise MemoryError("std::bad_alloc")  # as FAISS does for a damaged length

    FaissIndex(GALLERY).save(tmp_path / "index")
    monkeypatch.setattr(faiss, "read_index", claims)
    with pytest.raises(FileFormatError, match=r"index.faiss is no FAISS index"):
        FaissIndex.open(tmp_path / "index")


@pytest.mark.parametrize("other", ["fewer", "another length", "another distance"])
def test_an_index_that_is_not_of_its_features_is_refused(tmp_path, other):
    FaissIndex(GALLERY).save(tmp_path / "index")
    rows = {"fewer": GALLERY.embeddings[:5], "another length": GALLERY.embeddings[:, :12].copy()}
    made = faiss.IndexFlatL2(24) if other == "another distance" else faiss.IndexFlatIP(rows[other].shape[1])
    made.add(rows.get(other, GALLERY.embeddings))
    faiss.write_index(made, str(tmp_path / "index" / "index.faiss"))
    with pytest.raises(FileFormatError, match="holds an index of other entries"):
        FaissIndex.open(tmp_path / "index")


def test_an_index_whose_features_are_lost_is_refused(tmp_path):
    FaissIndex(GALLERY).save(tmp_path / "index")
    (tmp_path / "index" / "entries.npz").unlink()
    with pytest.raises(UsageError, match="there is no features file"):
        FaissIndex.open(tmp_path / "index")


def test_queries_of_another_length_and_unknown_kinds_are_refused():
    with pytest.raises(UsageError, match="different lengths"):
        FaissIndex(GALLERY).search(draw_features("query", dimension=12), 1)
    with pytest.raises(UsageError, match="there is no FAISS index 'pq'"):
        FaissIndex(GALLERY, "pq")


def test_without_faiss_the_extra_is_named(tmp_path, monkeypatch):
    FaissIndex(GALLERY).save(tmp_path / "index")
    monkeypatch.setitem(sys.modules, "faiss", None)
    for make in (lambda: index_of("faiss:hnsw")(GALLERY), lambda: FaissIndex.open(tmp_path / "index")):
        with pytest.raises(MissingEngineError, match="FAISS is not installed") as caught:
            make()
        assert caught.value.remedy == "pip install 'mgn-convert[gallery]'"


def test_the_commands_start_without_the_optional_packages():
    code = (
        "import sys; sys.modules['faiss'] = sys.modules['qdrant_client'] = None\n"
        "import mgn_reid.matching.gallery, mgn_reid.commands.rank, mgn_reid.commands.extract\n"
        "assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
