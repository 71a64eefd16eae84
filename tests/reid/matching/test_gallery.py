from pathlib import Path

import pytest
from small_features import draw_features

from mgn_convert.errors import UsageError
from mgn_reid.matching.database import DatabaseIndex
from mgn_reid.matching.faiss_index import FaissIndex
from mgn_reid.matching.gallery import index_of, is_features_file, stored_index
from mgn_reid.matching.index import ExactIndex

GALLERY, QUERIES = draw_features("gallery", people=3), draw_features("query", people=3, each=1)


@pytest.mark.parametrize(
    ("name", "kind", "inside"),
    [
        ("exact", ExactIndex, None),
        ("faiss", FaissIndex, "IndexFlatIP"),
        ("faiss:hnsw", FaissIndex, "IndexHNSWFlat"),
        ("faiss:ivf", FaissIndex, "IndexIVFFlat"),
        ("qdrant:{}", DatabaseIndex, None),
    ],
)
def test_a_name_makes_the_index_that_it_names(tmp_path, name, kind, inside):
    index = index_of(name.format(tmp_path / "database"))(GALLERY)
    assert type(index) is kind
    assert inside is None or type(index._index).__name__ == inside
    assert index.record == GALLERY.record
    expected = [[match.name for match in found] for found in ExactIndex(GALLERY).search(QUERIES, 4)]
    assert [[match.name for match in found] for found in index.search(QUERIES, 4)] == expected
    index.close()


@pytest.mark.parametrize("name", ["flat", "faiss:", "faiss:pq", "exact:hnsw", ""])
def test_an_unknown_name_is_refused_with_those_there_are(name):
    with pytest.raises(UsageError, match=f"there is no index '{name}'") as caught:
        index_of(name)
    assert "faiss:hnsw" in caught.value.remedy


def test_what_is_stored_is_told_from_features_and_pictures(tmp_path):
    FaissIndex(GALLERY).save(tmp_path / "index")
    place = f"qdrant:{tmp_path / 'database'}"
    DatabaseIndex.create(place, GALLERY).close()
    GALLERY.save(tmp_path / "a.npz")
    assert type(stored_index(str(tmp_path / "index"))) is FaissIndex
    database = stored_index(place)
    assert type(database) is DatabaseIndex
    database.close()
    for other in (tmp_path, tmp_path / "a.npz", tmp_path / "nowhere"):
        assert stored_index(str(other)) is None
    assert [is_features_file(Path(name)) for name in ("b/a.npz", "a.npz/b.jpg", "npz")] == [
        True,
        False,
        False,
    ]
