from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_features import draw_features, plain_search

from mgn_convert.errors import UsageError
from mgn_reid.matching.index import ExactIndex, Match

GALLERY, QUERIES = draw_features("gallery", each=3), draw_features("query", each=1)


def pairs(matches):
    """Names, and distances to compare by."""
    names = [[match.name for match in found] for found in matches]
    return names, [match.distance for found in matches for match in found]


@pytest.mark.parametrize("other_cameras", [False, True])
@pytest.mark.parametrize("k", [1, 5, 54, 1000])
def test_the_nearest_are_those_of_a_plain_search(k, other_cameras):
    names, distances = pairs(ExactIndex(GALLERY).search(QUERIES, k, other_cameras=other_cameras))
    expected = plain_search(QUERIES, GALLERY, k, other_cameras)
    assert names == [[name for name, _ in found] for found in expected]
    np.testing.assert_allclose(distances, [d for found in expected for _, d in found], atol=1e-6)
    whole = 54 - 3 * other_cameras
    assert {len(found) for found in names} == {min(k, whole)}


def test_the_same_camera_rule_keeps_other_people_of_that_camera_and_other_cameras_of_the_person():
    found = ExactIndex(GALLERY).search(QUERIES, 1000, other_cameras=True)
    for row, matches in enumerate(found):
        identity, camera = QUERIES.identities[row], QUERIES.cameras[row]
        views = [(match.identity == identity, match.camera == camera) for match in matches]
        assert [views.count(view) for view in ((True, True), (True, False), (False, True))] == [0, 6, 15]


@pytest.mark.parametrize("label", ["identities", "cameras"])
def test_the_same_camera_rule_leaves_out_nothing_where_a_label_is_unknown(label):
    gallery, queries = (replace(each, **{label: np.full(len(each), -1)}) for each in (GALLERY, QUERIES))
    index = ExactIndex(gallery)
    assert index.search(queries, 60, other_cameras=True) == index.search(queries, 60)


def test_a_match_tells_all_of_its_entry_and_no_distance_is_negative():
    found = ExactIndex(GALLERY).search(GALLERY, 1)
    expected = Match("gallery/0001_c2_001.jpg", Path("/people/gallery/0001_c2_001.jpg"), 1, 2, 0.0)
    assert replace(found[1][0], distance=0.0) == expected
    assert all(0 <= matches[0].distance < 1e-6 for matches in found)


def test_queries_of_another_length_are_refused():
    with pytest.raises(UsageError, match="different lengths"):
        ExactIndex(GALLERY).search(draw_features("query", dimension=12), 1)
