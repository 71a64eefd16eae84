import numpy as np
import pytest

from mgn_reid.matching.accuracy import accuracy


def test_the_measures_agree_with_a_case_worked_by_hand():
    # cluster 0: 7 7 8, cluster 3: 8 8, cluster 5: 9, cluster 6: 7
    clusters = np.array([0, 0, 0, 3, 3, 5, 6])
    found = accuracy(clusters, np.array([7, 7, 8, 8, 8, 9, 7]))
    assert found.to_json() == {
        "pictures": 7,
        "clusters": 4,
        "identities": 3,
        "identity_accuracy": pytest.approx(1 - 1 / 3),
        "class_accuracy": pytest.approx((2 / 3 + 1 + 1 + 1) / 4),
        "allocation_errors": 1,
        "split_error": pytest.approx(2 / 3),
    }


def test_clusters_that_are_the_identities_have_no_error():
    found = accuracy(np.array([0, 1, 0, 1, 4]), np.array([3, 2, 3, 2, 9]))
    assert (found.identity_accuracy, found.class_accuracy) == (1, 1)
    assert (found.allocation_errors, found.split_error) == (0, 0)


def test_too_few_clusters_cost_as_much_as_too_many():
    identities = np.array([1, 1, 2, 2])
    one, three = accuracy(np.zeros(4, int), identities), accuracy(np.array([0, 1, 2, 2]), identities)
    assert one.identity_accuracy == three.identity_accuracy == 0.5
    assert (one.class_accuracy, one.allocation_errors, one.split_error) == (0.5, 2, 0)
    assert (three.class_accuracy, three.allocation_errors, three.split_error) == (1, 0, 0.5)


def test_more_than_twice_as_many_clusters_as_people_are_worse_than_nothing():
    assert accuracy(np.arange(5), np.array([1, 1, 1, 2, 2])).identity_accuracy == 1 - 3 / 2


def test_a_clusters_identity_is_that_of_its_first_picture_even_in_the_minority():
    found = accuracy(np.zeros(4, int), np.array([5, 6, 6, 6]))
    assert (found.class_accuracy, found.allocation_errors) == (0.25, 3)


def test_junk_and_distractors_are_as_if_they_were_not_there():
    clusters = np.array([0, 0, 0, 3, 4, 4, 6, 6])
    identities = np.array([-1, 7, 7, 0, 8, 0, 0, -1])
    people = identities > 0
    found = accuracy(clusters, identities)
    assert found == accuracy(clusters[people], identities[people])
    assert (found.pictures, found.clusters, found.identities) == (3, 2, 2)
    assert (found.class_accuracy, found.allocation_errors, found.split_error) == (1, 0, 0)


@pytest.mark.parametrize("nobody", [-1, 0])
def test_there_is_nothing_to_measure_where_no_identity_is_known(nobody):
    assert accuracy(np.array([0, 0]), np.array([nobody, nobody])) is None
