from fractions import Fraction

import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_reid.matching.clustering import Rule, assigned, clusters


def as_described(distances, rule):
    """The rule word for word, in exact arithmetic; distances[i][j] is that of picture i to picture j."""
    found = []
    for i in range(len(distances)):
        row = [Fraction(float(distances[i][j])) for j in range(i)]
        joined, least = None, None
        if rule.kind == "first":
            for j in range(i):
                if joined is None and row[j] < rule.threshold:
                    joined = found[j]
        else:
            candidates = {}
            for j in range(i):
                if row[j] < rule.threshold and found[j] not in candidates:
                    candidates[found[j]] = row[j]
            for cluster, d in candidates.items():
                values = [row[j] for j in range(i) if found[j] == cluster]
                if len(values) > 3:
                    values.remove(max(values))
                    values.remove(min(values))
                difference = abs(d - sum(values) / len(values))
                if difference < rule.cluster_threshold and (least is None or difference < least):
                    joined, least = cluster, difference
        found.append(i if joined is None else joined)
    return found


def rows_of(distances):
    return [row[:i] for i, row in enumerate(distances)]


@pytest.mark.parametrize("kind", ["average", "first"])
def test_both_rules_do_what_is_described_where_distances_are_often_equal(kind):
    random = np.random.default_rng(1)
    counts = []
    for _ in range(150):
        count = int(random.integers(1, 36))
        distances = random.integers(0, 17, (count, count)) / 8
        rule = Rule(int(random.integers(1, 17)) / 8, int(random.integers(1, 9)) / 8, kind)
        found = assigned(rows_of(distances), count, rule).tolist()
        assert found == as_described(distances, rule), rule
        counts.append(len(set(found)) / count)
    assert len(set(counts)) > 30


@pytest.mark.parametrize("kind", ["average", "first"])
def test_embeddings_are_clustered_by_their_euclidean_distances(kind):
    random = np.random.default_rng(2)
    for case in range(12):
        embeddings = random.normal(size=(60, 4))
        embeddings /= np.linalg.norm(embeddings, axis=1)[:, None]
        distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
        rule = Rule((0.3, 0.7, 1.2)[case % 3], (0.1, 0.4)[case % 2], kind)
        found = clusters(embeddings.astype(np.float32), rule)
        assert found.dtype == np.int64
        assert found.tolist() == as_described(distances, rule), rule
        assert 1 < len(set(found.tolist())) < 60


def test_distances_are_right_past_the_first_block_of_them():
    random = np.random.default_rng(3)
    people = np.eye(7, dtype=np.float32)[random.integers(7, size=600)]
    founders = [people.tolist().index(row) for row in people.tolist()]
    for kind in ("average", "first"):
        assert clusters(people, Rule(kind=kind)).tolist() == founders


def test_rows_that_are_a_little_off_unit_length_still_find_their_copies():
    rows = np.array([[1, 0], [0, 1], [1.0004, 0], [0, 0.9996]], np.float32)
    assert clusters(rows, Rule(1e-6, 1e-6)).tolist() == [0, 1, 0, 1]


def test_one_picture_founds_a_cluster():
    assert clusters(np.array([[0.6, 0.8]], np.float32), Rule()).tolist() == [0]


@pytest.mark.parametrize("kind", ["average", "first"])
def test_a_distance_at_the_threshold_is_too_far(kind):
    rows = [[], [0.5]]
    assert assigned(map(np.array, rows), 2, Rule(0.5, 0.4, kind)).tolist() == [0, 1]
    assert assigned(map(np.array, rows), 2, Rule(0.5000001, 0.4, kind)).tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["average", "first"])
def test_opposite_vectors_stay_apart_at_the_widest_threshold(kind):
    rows = np.array([[1, 0], [-1, 0], [0, 1]], np.float32)
    assert clusters(rows, Rule(2, 2, kind)).tolist() == [0, 1, 0]


def test_a_difference_at_the_cluster_threshold_is_too_much():
    # d = 0.25; the mean of 0.25 and 0.75 is 0.25 more
    rows = [np.array(row) for row in ([], [0.25], [0.25, 0.75])]
    assert assigned(rows, 3, Rule(0.5, 0.25)).tolist() == [0, 0, 2]
    assert assigned(rows, 3, Rule(0.5, 0.26)).tolist() == [0, 0, 0]


def test_greatest_and_least_are_left_out_only_where_a_cluster_has_more_than_three():
    three = [np.zeros(i) for i in range(3)]
    # 0.25, 0.25, 1.75: mean 0.75, 0.5 from the first
    assert assigned([*three, np.array([0.25, 0.25, 1.75])], 4, Rule(0.5, 0.4)).tolist() == [0, 0, 0, 3]
    # 0.25 and 1.75 go: mean 0.25, 0 from the first
    four = [*three, np.zeros(3), np.array([0.25, 0.25, 0.25, 1.75])]
    assert assigned(four, 5, Rule(0.5, 0.4)).tolist() == [0, 0, 0, 0, 0]


def test_of_equally_good_clusters_the_one_met_first_wins():
    rows = [np.array(row) for row in ([], [2.0], [2.0, 0.1], [0.3, 0.2, 0.2])]
    assert assigned(rows, 4, Rule()).tolist() == [0, 1, 1, 0]
    # both differ by 0.125; of cluster 1 only the second picture is near, and it comes after cluster 2's first
    rows = [np.array(row) for row in ([], [2.0], [2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0, 2.0])]
    rows.append(np.array([2.0, 0.75, 0.5, 0.5, 0.75]))
    assert assigned(rows, 6, Rule()).tolist() == [0, 1, 2, 1, 2, 2]


def test_five_equal_distances_differ_from_their_mean_by_nothing():
    # thirds of 0.1 and the like do not add up in floating point
    for distance in np.linspace(0.01, 0.69, 200):
        rows = [*(np.zeros(i) for i in range(5)), np.full(5, 2.0), np.full(6, distance)]
        assert assigned(rows, 7, Rule()).tolist() == [0, 0, 0, 0, 0, 5, 0], distance


@pytest.mark.parametrize("wrong", [0, -0.7, 2.0001, float("nan"), float("inf")])
def test_thresholds_that_are_no_distances_of_unit_vectors_are_refused(wrong):
    with pytest.raises(UsageError, match="--threshold is no distance") as caught:
        Rule(threshold=wrong)
    assert caught.value.because == "unit vectors are more than 0 and at most 2 apart"
    assert caught.value.got == f"{wrong:g}"
    with pytest.raises(UsageError, match="--cluster-threshold is no distance"):
        Rule(cluster_threshold=wrong)
    assert Rule(2, 2).threshold == 2


def test_an_unknown_rule_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="no rule 'median'") as caught:
        Rule(kind="median")
    assert caught.value.remedy == "one of average, first"
