import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_retrieval import plain_scores

from mgn_convert.datasets.types import Picture
from mgn_convert.errors import UsageError
from mgn_convert.parity import distances as distances_module
from mgn_convert.parity.retrieval import (
    Expansion,
    Labels,
    Reranking,
    Settings,
    score,
    score_embeddings,
)


class Table:
    """A whole table of distances, given out in blocks."""

    def __init__(self, table, rows=3):
        self.table, self.rows, self.shape = np.asarray(table, np.float32), rows, np.shape(table)

    def blocks(self):
        for first in range(0, len(self.table), self.rows):
            yield first, self.table[first : first + self.rows]


def random_case(seed, queries=12, pictures=60, people=6, cameras=3, levels=1000):
    """Distances with ties, people of one camera, distractors, nobody's pictures, queries without a hit."""
    rng = np.random.default_rng(seed)
    identities = rng.integers(-1, people, pictures)
    of_cameras = rng.integers(0, cameras, pictures)
    of_cameras[identities == 1] = 0
    query = Labels(rng.integers(0, people + 1, queries), rng.integers(0, cameras, queries))
    query.identities[:2], query.cameras[:2] = (0, 1), (0, 0)
    table = rng.integers(0, levels, (queries, pictures)) / levels
    return table.astype(np.float32), query, Labels(identities, of_cameras)


def assert_same(found, expected):
    cmc, mean_ap, mean_inp, skipped = expected
    np.testing.assert_allclose(found.cmc, cmc, rtol=0, atol=1e-12)
    assert found.mean_ap == pytest.approx(mean_ap, abs=1e-12)
    assert found.mean_inp == pytest.approx(mean_inp, abs=1e-12)
    assert found.skipped == skipped


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from([2, 5, 40, 10**6]), st.booleans())
def test_scores_equal_the_plain_evaluation_whatever_the_ties(seed, levels, trapezoid):
    table, query, gallery = random_case(seed, levels=levels)
    protocol = "market-trapezoid" if trapezoid else "standard"
    found = score(Table(table), query, gallery, protocol=protocol)
    assert_same(found, plain_scores(table, query, gallery, trapezoid=trapezoid))
    assert found.skipped > 0


def test_ranks_beyond_the_gallery_are_counted():
    table, query, gallery = random_case(0, pictures=20)
    assert_same(
        score(Table(table), query, gallery, max_rank=70), plain_scores(table, query, gallery, max_rank=70)
    )
    assert_same(
        score(Table(table), query, gallery, max_rank=2), plain_scores(table, query, gallery, max_rank=2)
    )


def test_average_precision_is_scikit_learns_where_nothing_ties():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(3)
    table, hits = rng.random((1, 40), np.float32), np.arange(40) % 7 == 0
    found = score(Table(table), Labels([1], [0]), Labels(hits.astype(int), np.ones(40)))
    assert found.mean_ap == pytest.approx(average_precision_score(hits, -table[0]), abs=1e-12)


def test_a_ranking_counted_by_hand():
    # junk, hit, wrong, nobody, hit, wrong
    gallery = Labels([7, 7, 3, -1, 7, 4], [0, 1, 1, 1, 2, 0])
    table = Table([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]])
    query = Labels([7, 9], [0, 0])
    standard = score(table, query, gallery)
    assert (standard.rank(1), standard.queries, standard.skipped) == (1.0, 1, 1)
    assert standard.mean_ap == pytest.approx((1 + 2 / 3) / 2)
    assert standard.mean_inp == pytest.approx(2 / 3)
    market = score(table, query, gallery, protocol="market-trapezoid")
    assert (market.rank(1), market.queries, market.skipped) == (0.5, 1, 1)
    assert market.mean_ap == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2 / 2)


def test_of_equal_distances_the_first_of_the_gallery_ranks_first():
    gallery = Labels([3, 7, 3], [1, 1, 1])
    found = score(Table(np.zeros((1, 3))), Labels([7], [0]), gallery)
    assert [found.rank(1), found.rank(2)] == [0.0, 1.0]


def test_nobody_is_never_found():
    found = score(Table([[0, 1], [0, 1]]), Labels([-1, 5], [0, 0]), Labels([-1, 5], [1, 1]))
    assert (found.queries, found.skipped, found.rank(1)) == (1, 1, 1.0)


def test_one_picture_per_person_makes_every_trial_the_standard_ranking():
    rng = np.random.default_rng(0)
    people = rng.permutation(30)
    table, query, gallery = (
        rng.random((30, 30)),
        Labels(np.arange(30), np.zeros(30)),
        Labels(people, np.ones(30)),
    )
    assert_same(
        score(Table(table), query, gallery, protocol="cuhk03", trials=3), plain_scores(table, query, gallery)
    )


def test_trials_draw_one_picture_per_person():
    # Person 2 stands before the hits in one picture of four, person 3 always; junk and nobody never count.
    gallery = Labels([2, 3, 3, -1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 0, 1, 1, 1, 1, 1])
    table, query = Table([np.arange(10)]), Labels([1], [0])
    found = score(table, query, gallery, protocol="cuhk03", trials=4000)
    np.testing.assert_allclose(found.cmc[:4], [0, 0.75, 1, 1], atol=0.03)
    assert found.mean_ap == pytest.approx((1 / 4 + 2 / 5) / 2)


def test_trials_follow_the_seed_and_not_the_blocks():
    table, query, gallery = random_case(5, levels=20)
    scores = [
        score(Table(table, rows), query, gallery, protocol="cuhk03", trials=10, seed=seed).cmc
        for rows, seed in ((12, 1), (5, 1), (12, 2))
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[0] != scores[2]).any()


def embeddings(seed, queries=40, pictures=200, people=12, width=24):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, width))
    identities, cameras = rng.integers(0, people, queries + pictures), rng.integers(0, 4, queries + pictures)
    rows = centres[identities] + 1.2 * rng.standard_normal((len(identities), width))
    labels = Labels(identities[:queries], cameras[:queries]), Labels(identities[queries:], cameras[queries:])
    return rows[:queries].astype(np.float32), rows[queries:].astype(np.float32), *labels


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_embeddings_are_scored_by_either_distance_in_blocks(metric, monkeypatch):
    query, gallery, query_labels, gallery_labels = embeddings(1)
    monkeypatch.setattr(distances_module, "BLOCK_BYTES", 4 * 200 * 7)
    found = score_embeddings(query, gallery, query_labels, gallery_labels, Settings(metric=metric))
    q, g = query.astype(np.float64), gallery.astype(np.float64)
    if metric == "cosine":
        q, g = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (q, g))
    table = np.linalg.norm(q[:, None] - g, axis=2)
    assert_same(found, plain_scores(table, query_labels, gallery_labels))
    assert 0.2 < found.mean_ap < 0.9


def test_reranking_and_expansion_change_the_scores():
    case = embeddings(2)
    means = {
        score_embeddings(*case, chosen).mean_ap
        for chosen in (
            Settings(),
            Settings(reranking=Reranking(k1=8, k2=3)),
            Settings(expansion=Expansion()),
            Settings(expansion=Expansion(), reranking=Reranking(k1=8, k2=3)),
        )
    }
    assert len(means) == 4
    assert min(means) == score_embeddings(*case).mean_ap


def test_memory_holds_blocks_and_never_the_table(monkeypatch):
    query, gallery, query_labels, gallery_labels = embeddings(3, queries=600, pictures=4000, width=4)
    monkeypatch.setattr(distances_module, "BLOCK_BYTES", 1 << 18)
    tracemalloc.start()
    score_embeddings(query, gallery, query_labels, gallery_labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 600 * 4000 / 5


def test_labels_come_from_pictures():
    labels = Labels.of([Picture(Path("a"), 3, 1), Picture(Path("b"), -1, 2)])
    assert (labels.identities.tolist(), labels.cameras.tolist()) == ([3, -1], [1, 2])
    assert len(Labels.of([])) == 0


def test_scores_become_plain_json():
    table, query, gallery = random_case(1)
    found = score(Table(table), query, gallery, max_rank=3)
    told = json.loads(json.dumps(found.to_json()))
    assert told["cmc"] == found.cmc.tolist()
    assert (told["mean_ap"], told["mean_inp"]) == (found.mean_ap, found.mean_inp)
    assert (told["queries"], told["skipped"]) == (found.queries, found.skipped)
    with pytest.raises(UsageError, match=r"no score of rank 4\n.*ranks 1 to 3 were counted"):
        found.rank(4)


NOBODY, SOME = Labels([], []), Labels([1, 2], [0, 0])


@pytest.mark.parametrize(
    ("query", "gallery", "query_labels", "gallery_labels", "message"),
    [
        (np.ones((0, 3)), np.ones((2, 3)), NOBODY, SOME, "the query is empty"),
        (np.ones((2, 3)), np.ones((0, 3)), SOME, NOBODY, "the gallery is empty"),
        (np.ones((2, 3)), np.ones((2, 3)), SOME, SOME, "no query has a picture to be found"),
        (np.ones((3, 3)), np.ones((2, 3)), SOME, SOME, "embeddings and labels of the query do not belong"),
        (np.ones((2, 3)), np.ones((3, 3)), SOME, SOME, "embeddings and labels of the gallery do not belong"),
        (np.ones((2, 3)), np.full((2, 3), np.nan), SOME, SOME, "2 of 2 gallery embeddings hold NaN or Inf"),
    ],
)
def test_what_cannot_be_scored_is_refused(query, gallery, query_labels, gallery_labels, message):
    with pytest.raises(UsageError, match=message):
        score_embeddings(query, gallery, query_labels, gallery_labels)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_distances_that_are_no_numbers_are_refused(value):
    with pytest.raises(UsageError, match="A distance is NaN or Inf"):
        score(Table([[0.0, value]]), Labels([1], [0]), Labels([1, 2], [1, 1]))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (dict(metric="manhattan"), "no distance 'manhattan'\n  try      cosine, euclidean"),
        (dict(protocol="cuhk"), "no protocol 'cuhk'\n  try      standard, market-trapezoid, cuhk03"),
        (dict(metric="euclidean", reranking=Reranking()), "do not go with the euclidean distance"),
        (dict(metric="euclidean", expansion=Expansion()), "do not go with the euclidean distance"),
        (dict(max_rank=0), "max_rank and trials are 1 or more"),
        (dict(trials=0), "max_rank and trials are 1 or more"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(chosen, message):
    with pytest.raises(UsageError, match=message):
        Settings(**chosen)


def test_labels_need_one_identity_and_one_camera_each():
    with pytest.raises(UsageError, match=r"shapes \[2\] and \[3\]"):
        Labels([1, 2], [1, 2, 3])
