import tracemalloc

import numpy as np
import pytest
from plain_retrieval import plain_reranked

from mgn_convert.errors import UsageError
from mgn_convert.parity import distances as distances_module
from mgn_convert.parity import neighbours as neighbours_module
from mgn_convert.parity.distances import vectors
from mgn_convert.parity.neighbours import Union, neighbours
from mgn_convert.parity.reranking import Reranking, reranked_distances


def people(seed, queries=40, pictures=160, count=12, width=20):
    """Clustered embeddings of several lengths."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, count, queries + pictures)
    rows = rng.standard_normal((count, width))[who] + 0.8 * rng.standard_normal((len(who), width))
    rows = (rows * rng.uniform(0.5, 2, (len(who), 1))).astype(np.float32)
    return rows[:queries], rows[queries:]


def squared_distances(query, gallery):
    union = np.concatenate([query, gallery]).astype(np.float64)
    union /= np.linalg.norm(union, axis=1, keepdims=True)
    return ((union[:, None] - union) ** 2).sum(axis=2)


def whole(distances):
    return np.concatenate([block for _, block in distances.blocks()])


@pytest.mark.parametrize(
    ("k1", "k2", "weight"),
    [(20, 6, 0.3), (7, 3, 0.3), (5, 1, 0.0), (6, 9, 1.0), (1, 2, 0.5), (13, 4, 0.1)],
)
@pytest.mark.parametrize("tile", [4096, 37])
def test_reranking_equals_the_paper_on_whole_tables(k1, k2, weight, tile, monkeypatch):
    monkeypatch.setattr(neighbours_module, "TILE", tile)
    monkeypatch.setattr(distances_module, "BLOCK_BYTES", 4 * 160 * 9)
    query, gallery = people(k1)
    expected = plain_reranked(squared_distances(query, gallery), len(query), k1, k2, weight)
    distances = reranked_distances(query, gallery, Reranking(k1, k2, weight))
    assert distances.shape == expected.shape
    found = whole(distances)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    apart = np.diff(np.sort(expected, axis=1), axis=1).min(axis=1) > 4e-6
    order = np.argsort(expected, axis=1)
    np.testing.assert_array_equal(np.argsort(found, axis=1)[apart], order[apart])
    assert apart.any() or weight == 0


def test_more_neighbours_than_there_are_vectors_are_all_of_them():
    query, gallery = people(1, queries=8, pictures=30, count=4)
    expected = plain_reranked(squared_distances(query, gallery), len(query), 50, 6, 0.3)
    np.testing.assert_allclose(whole(reranked_distances(query, gallery, Reranking(50))), expected, atol=2e-6)


def test_rows_can_be_asked_for_twice():
    distances = reranked_distances(*people(0), Reranking())
    np.testing.assert_array_equal(whole(distances), whole(distances))


@pytest.mark.parametrize("tile", [4096, 50])
@pytest.mark.parametrize("growth", [1, 4])
def test_neighbours_equal_sorting_everything(tile, growth, monkeypatch):
    monkeypatch.setattr(neighbours_module, "TILE", tile)
    monkeypatch.setattr(neighbours_module, "GROWTH", growth)
    query, gallery = people(3, pictures=400)
    squared = squared_distances(query, gallery)
    found = neighbours(Union(*vectors(query, gallery)), 8)
    order = np.argsort(squared, axis=1)[:, :8]
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_allclose(found.squared, np.take_along_axis(squared, order, 1), atol=1e-6)
    np.testing.assert_allclose(found.farthest, squared.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("tile", [4096, 9])
def test_equally_near_neighbours_come_in_their_order(tile, monkeypatch):
    monkeypatch.setattr(neighbours_module, "TILE", tile)
    rows = np.eye(3)[np.arange(60) % 3]
    found = neighbours(Union(*vectors(rows[:13], rows[13:])), 25)
    squared = squared_distances(rows[:13], rows[13:])
    np.testing.assert_array_equal(found.indices, np.argsort(squared, axis=1, kind="stable")[:, :25])
    np.testing.assert_array_equal(found.farthest, 2)


def test_every_vector_is_nearest_to_itself_zeros_too():
    rows = np.concatenate([np.zeros((1, 4)), np.eye(4), np.zeros((1, 4)), np.ones((1, 4))])
    found = neighbours(Union(*vectors(rows[:3], rows[3:])), 3)
    assert found.indices[:, 0].tolist() == list(range(7))
    assert not found.squared[:, 0].any()
    assert found.indices[5].tolist() == [5, 0, 1]


def test_vectors_sorted_by_person_let_no_more_candidates_through(monkeypatch):
    monkeypatch.setattr(neighbours_module, "TILE", 64)
    rng = np.random.default_rng(0)
    rows = (np.eye(40)[np.arange(1200) // 30] + 0.1 * rng.standard_normal((1200, 40))).astype(np.float32)
    sizes = []
    cut = neighbours_module._Tile.cut

    def counted(tile):
        sizes.append(len(tile.rows) / len(tile.places))
        return cut(tile)

    monkeypatch.setattr(neighbours_module._Tile, "cut", counted)
    neighbours(Union(*vectors(rows[:100], rows[100:])), 5)
    assert max(sizes) < 40


@pytest.mark.parametrize("rows", [np.ones((30, 4)), np.zeros((30, 4)), np.ones((2, 4))])
def test_equal_vectors_stay_finite(rows):
    found = whole(reranked_distances(rows[:1], rows[1:], Reranking(k1=3, k2=2)))
    assert np.isfinite(found).all()


def test_memory_grows_with_the_neighbours_and_not_with_the_pairs(monkeypatch):
    monkeypatch.setattr(neighbours_module, "TILE", 64)
    monkeypatch.setattr(distances_module, "BLOCK_BYTES", 1 << 16)
    query, gallery = people(0, queries=100, pictures=2900, count=400, width=16)
    tracemalloc.start()
    for _ in reranked_distances(query, gallery, Reranking(k1=6, k2=2)).blocks():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 3000 * 3000 / 5


@pytest.mark.parametrize("chosen", [dict(k1=0), dict(k2=0), dict(weight=1.5), dict(weight=float("nan"))])
def test_numbers_without_sense_are_refused(chosen):
    with pytest.raises(UsageError, match="k1 and k2 are 1 or more, the weight is from 0 to 1"):
        Reranking(**chosen)


def test_embeddings_that_are_no_numbers_are_refused():
    query, gallery = people(0)
    gallery[3, 2] = np.nan
    with pytest.raises(UsageError, match="gallery embedding 3 is the first"):
        reranked_distances(query, gallery, Reranking())
