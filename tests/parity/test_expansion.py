import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.parity.expansion import Expansion, expanded_queries


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def plainly_expanded(query, gallery, k, alpha, rounds):
    query, gallery = unit(query), unit(gallery)
    for _ in range(rounds):
        moved = []
        for vector in query:
            cosines = gallery @ vector
            for i in np.argsort(-cosines)[:k]:
                if cosines[i] > 0:
                    vector = vector + cosines[i] ** alpha * gallery[i]
            moved.append(vector)
        query = unit(np.array(moved))
    return query


@pytest.mark.parametrize(
    ("k", "alpha", "rounds"), [(1, 3.0, 1), (5, 3.0, 1), (4, 2.5, 3), (30, 0.0, 1), (99, 1.0, 2)]
)
def test_expansion_equals_the_plain_loop(k, alpha, rounds):
    rng = np.random.default_rng(k)
    query, gallery = 2 * rng.standard_normal((70, 8)), 3 * rng.standard_normal((30, 8))
    before = query.copy()
    found = expanded_queries(query, gallery, Expansion(k, alpha, rounds))
    np.testing.assert_allclose(found, plainly_expanded(query, gallery, k, alpha, rounds), atol=3e-6)
    np.testing.assert_array_equal(query, before)


def test_float32_queries_are_left_alone():
    query, gallery = np.eye(3, dtype=np.float32)[:2], np.ones((4, 3), np.float32)
    expanded_queries(query, gallery, Expansion())
    np.testing.assert_array_equal(query, np.eye(3)[:2])


def test_pictures_on_the_other_side_have_no_weight():
    query = np.array([[1.0, 0.0]])
    found = expanded_queries(query, np.array([[-1.0, 0.2], [0.0, 1.0]]), Expansion(k=2, alpha=0.0))
    np.testing.assert_array_equal(found, query)


@pytest.mark.parametrize("chosen", [dict(k=0), dict(rounds=0), dict(alpha=-1.0), dict(alpha=float("nan"))])
def test_numbers_without_sense_are_refused(chosen):
    with pytest.raises(UsageError, match="k and rounds are 1 or more, alpha is 0 or more"):
        Expansion(**chosen)
