import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.parity import distances as distances_module
from mgn_convert.parity.distances import cosine_distances, euclidean_distances, nearest


def pair(seed=0, queries=9, pictures=50, width=16, dtype=np.float32):
    rng = np.random.default_rng(seed)
    shape = (queries, width), (pictures, width)
    return tuple((3 * rng.standard_normal(s) + 0.5).astype(dtype) for s in shape)


def whole(distances):
    return np.concatenate([block for _, block in distances.blocks()])


def plain(query, gallery, metric):
    q, g = query.astype(np.float64), gallery.astype(np.float64)
    if metric == "euclidean":
        return np.linalg.norm(q[:, None] - g, axis=2)
    return 1 - (q @ g.T) / np.outer(np.linalg.norm(q, axis=1), np.linalg.norm(g, axis=1))


MEASURED = {"cosine": cosine_distances, "euclidean": euclidean_distances}


@pytest.mark.parametrize("metric", MEASURED)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_distances_equal_the_formula_in_float64(metric, dtype):
    query, gallery = pair(dtype=dtype)
    distances = MEASURED[metric](query, gallery)
    assert distances.shape == (9, 50)
    assert whole(distances).dtype == np.float32
    np.testing.assert_allclose(whole(distances), plain(query, gallery, metric), atol=3e-6)


@pytest.mark.parametrize("metric", MEASURED)
def test_blocks_follow_each_other_and_stay_what_they_were(metric, monkeypatch):
    query, gallery = pair()
    at_once = whole(MEASURED[metric](query, gallery))
    monkeypatch.setattr(distances_module, "BLOCK_BYTES", 4 * 50 * 2)
    blocks = list(MEASURED[metric](query, gallery).blocks())
    assert [first for first, _ in blocks] == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), at_once, atol=1e-6)


def test_a_row_larger_than_a_block_is_a_block(monkeypatch):
    monkeypatch.setattr(distances_module, "BLOCK_BYTES", 1)
    query, gallery = pair()
    assert [len(block) for _, block in cosine_distances(query, gallery).blocks()] == [1] * 9


def test_zeros_have_no_direction_and_are_at_cosine_distance_1():
    found = whole(cosine_distances(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])))
    np.testing.assert_array_equal(found, [[1, 1], [1, 0]])


@pytest.mark.parametrize("metric", MEASURED)
@pytest.mark.parametrize("k", [1, 4, 50])
def test_nearest_equals_sorting_everything(metric, k, monkeypatch):
    monkeypatch.setattr(distances_module, "BLOCK_BYTES", 4 * 50 * 4)
    query, gallery = pair(1)
    indices, values = nearest(query, gallery, k, metric)
    expected = plain(query, gallery, metric)
    order = np.argsort(expected, axis=1)[:, :k]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(values, np.take_along_axis(expected, order, 1), atol=3e-6)
    assert (indices.dtype, values.dtype) == (np.int64, np.float32)


def test_of_equally_near_ones_the_first_comes_first():
    gallery = np.eye(4)[[2, 0, 1, 0, 3, 0, 1]]
    indices, values = nearest(np.eye(4)[:1], gallery, 5)
    assert indices.tolist() == [[1, 3, 5, 0, 2]]
    assert values.tolist() == [[0, 0, 0, 1, 1]]


def test_a_small_gallery_is_returned_whole():
    query, gallery = pair(pictures=3)
    assert sorted(nearest(query, gallery, 10)[0][0]) == [0, 1, 2]


BROKEN = np.ones((4, 3))
BROKEN[2, 1] = np.inf


@pytest.mark.parametrize(
    ("query", "gallery", "message"),
    [
        (np.ones((0, 3)), np.ones((2, 3)), r"no query embeddings to compare\n.*\n.*shape \[0, 3\]"),
        (np.ones((2, 3)), np.ones(3), r"no gallery embeddings to compare\n.*\n.*shape \[3\]"),
        (np.ones((2, 3)), np.ones((2, 4)), "3 numbers per query, 4 per picture"),
        (BROKEN, np.ones((2, 3)), "1 of 4 query embeddings hold NaN or Inf\n  at       query embedding 2"),
        (np.ones((2, 3)), BROKEN * np.nan, "4 of 4 gallery embeddings hold NaN or Inf"),
        (np.ones((2, 3)), np.full((2, 3), 1e300), "2 of 2 gallery embeddings hold NaN or Inf"),
    ],
)
@pytest.mark.parametrize("measured", [*MEASURED.values(), lambda q, g: nearest(q, g, 1)])
def test_embeddings_that_cannot_be_compared_are_refused(query, gallery, message, measured):
    with pytest.raises(UsageError, match=message):
        measured(query, gallery)


def test_vectors_may_be_long_or_short():
    found = whole(cosine_distances(np.full((1, 3), 1e30), np.array([[1e-9, 1e-9, 1e-9], [1e30, 0, 0]])))
    np.testing.assert_allclose(found, [[0, 1 - 3**-0.5]], atol=1e-6)


def test_none_nearest_is_refused():
    with pytest.raises(UsageError, match="there are no 0 nearest pictures"):
        nearest(*pair(), 0)
