import numpy as np
import pytest

from mgn_convert.parity.metrics import changed_neighbours, compare, is_exact


def test_error_is_relative_to_the_largest_value_but_never_to_less_than_one():
    big, small = np.array([[100.0, 0.0]]), np.array([[0.01, 0.0]])
    assert compare(big, big + 0.5).error == pytest.approx(0.005)
    assert compare(small, small + 0.5).error == pytest.approx(0.5)


def test_cosine_is_the_lowest_of_the_batch():
    reference = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert compare(reference, np.array([[1.0, 0.0], [1.0, 1.0]])).cosine == pytest.approx(np.sqrt(0.5))


def test_vectors_compare_whatever_their_trailing_axes():
    reference = np.arange(6.0).reshape(2, 3)
    assert compare(reference, reference.reshape(2, 3, 1, 1)).error == 0
    found = compare(reference, reference.T)
    assert found.error == np.inf
    assert found.problem == "shape [3, 2] where the reference has [2, 3]"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_passes_that_is_not_finite(value):
    reference = np.ones((1, 4))
    broken = np.array([[1, 1, 1, value]])
    assert compare(reference, broken).error == np.inf
    assert compare(broken, broken).error == np.inf


def test_exactness_is_measured_by_the_reference():
    assert is_exact(2.9e-6, 1e-6)
    assert not is_exact(3.1e-6, 1e-6)


def test_neighbours_change_only_beyond_noise():
    reference = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    assert changed_neighbours(reference, reference) == 0
    assert changed_neighbours(reference, reference[[0, 2, 1, 3]]) == 4
    tied = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert changed_neighbours(tied, tied[[0, 2, 1]] + 1e-9) == 0
