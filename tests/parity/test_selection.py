import numpy as np
import pytest

from mgn_convert.graph import GraphBuilder
from mgn_convert.parity.selection import chosen_from, flips


@pytest.fixture
def channels():
    b = GraphBuilder("t")
    x, scores = b.input("x", (1, 4, 2, 2)), b.input("scores", (1, 4))
    return b.graph([b.add("top_channels", x, scores, k=2, name="top")])


@pytest.fixture
def unpool():
    b = GraphBuilder("t")
    x = b.input("x", (1, 1, 4, 4))
    window = dict(kernel=(2, 2), stride=(2, 2))
    return b.graph([b.add("max_unpool", b.add("max_pool", x, **window), x, **window, name="back")])


def run(graph, truth, reference, candidate):
    (name,) = chosen_from(graph)
    sides = (np.asarray(side, np.float64) for side in (truth, reference, candidate))
    return [(flip.node, flip.margin) for flip in flips(graph, *({name: side} for side in sides))]


def test_the_order_of_the_channels_is_no_other_choice(channels):
    assert run(channels, [[4, 3, 2, 1]], [[4, 3, 2, 1]], [[3, 4, 2, 1]]) == []


def test_a_flip_has_the_margin_that_float64_shows(channels):
    truth = [[4, 3.001, 3, 1], [4, 3, 2, 1]]
    ((node, margin),) = run(channels, truth, truth, [[4, 3, 3.001, 1], [4, 3, 2, 1]])
    assert node == "top"
    assert margin == pytest.approx(0.001 / 4)


def test_a_wrong_choice_has_a_large_margin(channels):
    ((_, margin),) = run(channels, [[4, 3, 2, 1]], [[4, 3, 2, 1]], [[1, 3, 2, 4]])
    assert margin == pytest.approx(2 / 4)


def test_places_of_maxima(unpool):
    truth = np.arange(16.0).reshape(1, 1, 4, 4)
    candidate = truth.copy()
    candidate[0, 0, 1, 0] = 6  # now above the 5 beside it
    assert run(unpool, truth, truth, truth) == []
    ((node, margin),) = run(unpool, truth, truth, candidate)
    assert node == "back"
    assert margin == pytest.approx(1 / 15)


def test_what_cannot_be_seen_is_passed_over(channels):
    assert flips(channels, {}, {}, {}) == []
