import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plain_retrieval import plain_reranked
from small_features import draw_features, plain_search

from mgn_convert.errors import UsageError
from mgn_convert.parity.reranking import Reranking, reranked_distances
from mgn_reid.matching.database import DatabaseIndex
from mgn_reid.matching.faiss_index import FaissIndex
from mgn_reid.matching.index import ExactIndex, Match, view_of
from mgn_reid.matching.ranking import Ranking, rank

GALLERY, QUERIES = draw_features("gallery", people=9, each=3), draw_features("query", people=9, each=1)


def names(ranking):
    return [[match.name for match in found] for found in ranking.matches]


@pytest.mark.parametrize("other_cameras", [False, True])
def test_a_ranking_lists_the_nearest_by_cosine_distance(other_cameras):
    made = rank(QUERIES, ExactIndex(GALLERY), 6, other_cameras=other_cameras)
    expected = plain_search(QUERIES, GALLERY, 6, other_cameras)
    assert names(made) == [[name for name, _ in found] for found in expected]
    assert made.distance == "cosine"


@pytest.mark.parametrize("other_cameras", [False, True])
@pytest.mark.parametrize("make", [ExactIndex, FaissIndex])
def test_a_reranked_ranking_is_ordered_by_reranked_distances(make, other_cameras):
    made = rank(QUERIES, make(GALLERY), 7, other_cameras=other_cameras, rerank=True)
    distances = reranked_distances(QUERIES.embeddings, GALLERY.embeddings, Reranking())
    table = np.concatenate([block for _, block in distances.blocks()])
    for row, matches in enumerate(made.matches):
        same = (GALLERY.identities == QUERIES.identities[row]) & (GALLERY.cameras == QUERIES.cameras[row])
        left = np.flatnonzero(~(same & other_cameras))
        places = left[np.argsort(table[row, left], kind="stable")][:7]
        assert [match.name for match in matches] == [GALLERY.names[place] for place in places]
        np.testing.assert_allclose([match.distance for match in matches], table[row, places], atol=1e-6)
    assert made.distance == "re-ranked"
    assert names(made) != names(rank(QUERIES, make(GALLERY), 7, other_cameras=other_cameras))


def test_reranked_distances_are_those_of_the_plain_algorithm():
    found = rank(QUERIES, ExactIndex(GALLERY), 1, rerank=True).matches
    rows = np.concatenate([QUERIES.embeddings, GALLERY.embeddings]).astype(float)
    squared = np.maximum(2 - 2 * rows @ rows.T, 0)
    least = plain_reranked(squared, len(QUERIES), 20, 6, 0.3).min(axis=1)
    np.testing.assert_allclose([matches[0].distance for matches in found], least, atol=1e-5)


def test_a_gallery_smaller_than_the_neighbourhood_is_reranked_whole():
    gallery = draw_features("gallery", people=2, cameras=1, each=1)
    made = rank(QUERIES, ExactIndex(gallery), 10, rerank=True)
    assert {frozenset(row) for row in names(made)} == {frozenset(gallery.names)}


def test_hits_misses_and_what_nobody_knows_are_told_apart():
    queries = replace(QUERIES, identities=np.where(np.arange(len(QUERIES)) == 1, -1, QUERIES.identities))
    ranking = Ranking(queries, [], "cosine")
    matches = [Match("a.jpg", QUERIES.root, identity, 1, 0.1) for identity in (1, 2, -1)]
    assert [ranking.hit(0, match) for match in matches] == [True, False, None]
    assert [ranking.hit(1, match) for match in matches] == [None, None, None]


def test_json_tells_places_distances_and_hits_and_null_for_what_is_unknown():
    gallery = replace(GALLERY, identities=np.full(len(GALLERY), -1))
    made = rank(QUERIES, ExactIndex(GALLERY), 2)
    fields = json.loads(json.dumps(made.to_json()))
    assert (fields["schema"], fields["distance"], len(fields["queries"])) == (
        "mgn-reid/ranking/1",
        "cosine",
        27,
    )
    query, match = fields["queries"][0], made.matches[0][1]
    assert {key: query[key] for key in query if key != "matches"} == {
        "name": "query/0001_c1_000.jpg",
        "picture": "/people/query/0001_c1_000.jpg",
        "identity": 1,
        "camera": 1,
    }
    assert query["matches"][1] == {
        "place": 2,
        "name": match.name,
        "picture": f"/people/{match.name}",
        "identity": match.identity,
        "camera": match.camera,
        "distance": match.distance,
        "hit": match.identity == 1,
    }
    unknown = rank(QUERIES, ExactIndex(gallery), 1).to_json()["queries"][0]["matches"][0]
    assert (unknown["identity"], unknown["hit"]) == (None, None)


def test_features_of_another_model_are_refused_unless_it_is_said_to_be_the_same_network():
    other = replace(QUERIES, record=replace(QUERIES.record, sha256="cd" * 32))
    with pytest.raises(UsageError, match="different models") as caught:
        rank(other, ExactIndex(GALLERY), 1)
    assert "--other-model" in caught.value.remedy
    same = rank(other, ExactIndex(GALLERY), 1, other_model=True)
    assert names(same) == names(rank(QUERIES, ExactIndex(GALLERY), 1))


@pytest.mark.parametrize("rerank", [False, True])
def test_embeddings_of_another_length_are_refused(rerank):
    with pytest.raises(UsageError, match="different lengths"):
        rank(draw_features("query", dimension=12), ExactIndex(GALLERY), 1, rerank=rerank)


@pytest.mark.parametrize("label", ["identities", "cameras"])
def test_the_same_camera_rule_needs_a_query_that_is_known(label):
    unknown = np.full(len(QUERIES), -1)
    with pytest.raises(UsageError, match="no query's identity and camera are known") as caught:
        rank(replace(QUERIES, **{label: unknown}), ExactIndex(GALLERY), 1, other_cameras=True)
    assert "--exclude-same-camera" in caught.value.remedy
    unknown[3] = 2
    made = rank(replace(QUERIES, **{label: unknown}), ExactIndex(GALLERY), 1, other_cameras=True)
    assert len(made.matches) == len(QUERIES)


def test_a_database_cannot_be_reranked(tmp_path):
    index = DatabaseIndex.create(f"qdrant:{tmp_path / 'database'}", draw_features("few", people=2, each=1))
    with pytest.raises(UsageError, match="a database cannot be re-ranked"):
        rank(QUERIES, index, 1, rerank=True)
    index.close()


def test_two_distractors_may_be_two_people():
    queries = replace(QUERIES, identities=np.arange(len(QUERIES)))
    ranking = Ranking(queries, [], "cosine")
    distractor = Match("0000_c1.jpg", Path("0000_c1.jpg"), 0, 1, 0.1)
    assert [ranking.hit(row, distractor) for row in range(2)] == [None, False]
    assert view_of(queries, 0) is None
