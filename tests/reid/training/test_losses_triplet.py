"""Triplet losses against loops over anchors, positives and negatives."""

import math

import pytest
import torch
from torch import tensor

from mgn_convert.errors import UsageError
from mgn_reid.training.losses.pairs import pairs_of
from mgn_reid.training.losses.settings import Triplet
from mgn_reid.training.losses.triplet import (
    TripletCriterion,
    euclidean_distances,
    hard_triplets,
    semi_hard_triplets,
    unit_distances,
)

LABELS = tensor([4, 1, 4, 1, 1, 9, 9, 4])


def drawn(count=8, width=5, seed=0):
    return torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rows(vectors, normalise=False):
    found = [row.tolist() for row in vectors]
    return [[x / math.hypot(*row) for x in row] for row in found] if normalise else found


def hard_by_loops(vectors, labels, margin, normalise):
    points, terms = rows(vectors, normalise), []
    for i, anchor in enumerate(points):
        apart = {j: math.dist(anchor, other) for j, other in enumerate(points) if j != i}
        if normalise:
            apart = {j: math.sqrt(d * d + 1e-8) for j, d in apart.items()}
        farthest = max(d for j, d in apart.items() if labels[j] == labels[i])
        nearest = min(d for j, d in apart.items() if labels[j] != labels[i])
        gap = farthest - nearest
        terms.append(math.log1p(math.exp(gap)) if margin is None else max(0.0, gap + margin))
    return sum(terms) / len(terms)


def semi_hard_by_loops(vectors, labels, margin):
    points, terms = rows(vectors), []
    for i, anchor in enumerate(points):
        negatives = [math.dist(anchor, p) for j, p in enumerate(points) if labels[j] != labels[i]]
        for j, positive in enumerate(points):
            if j != i and labels[j] == labels[i]:
                apart = math.dist(anchor, positive)
                beyond = [d for d in negatives if d > apart]
                chosen = min(beyond) if beyond else max(negatives)
                terms.append(max(0.0, apart - chosen + margin))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("margin", [None, 0.0, 0.3, 1.2])
def test_batch_hard_is_what_loops_find(margin, normalise):
    for seed in range(5):
        vectors = drawn(seed=seed)
        criterion = TripletCriterion(Triplet(on=("v",), margin=margin, normalise=normalise))
        found = criterion({"v": vectors}, pairs_of(LABELS))
        assert float(found) == pytest.approx(hard_by_loops(vectors, LABELS, margin, normalise), rel=1e-10)


@pytest.mark.parametrize("margin", [0.2, 1.2])
def test_semi_hard_is_what_loops_find(margin):
    for seed in range(5):
        vectors = drawn(seed=seed)
        criterion = TripletCriterion(Triplet(on=("v",), margin=margin, mining="semi-hard"))
        found = criterion({"v": vectors}, pairs_of(LABELS))
        assert float(found) == pytest.approx(semi_hard_by_loops(vectors, LABELS, margin), rel=1e-10)


def test_hand_worked_numbers():
    """On a line: 0 and 1 are one person, 3 and 7 another."""
    labels, vectors = tensor([0, 0, 1, 1]), tensor([[0.0], [1.0], [3.0], [7.0]])
    pairs, distances = pairs_of(labels), euclidean_distances(vectors)
    farthest, nearest = hard_triplets(distances, pairs)
    assert farthest.tolist() == pytest.approx([1, 1, 4, 4])
    assert nearest.tolist() == pytest.approx([3, 2, 2, 6])
    positive, negative = semi_hard_triplets(distances, pairs)
    assert positive.tolist() == pytest.approx([1, 1, 4, 4])
    # 3 has 7 at a distance of 4 and no other person beyond: the farthest, 0, takes their place.
    assert negative.tolist() == pytest.approx([3, 2, 3, 6])
    loss = TripletCriterion(Triplet(on=("v",), margin=1.2, weight=2.0))({"v": vectors}, pairs)
    assert float(loss) == pytest.approx(2 * ((1 - 2 + 1.2) + (4 - 2 + 1.2)) / 4)
    soft = TripletCriterion(Triplet(on=("v",), margin=None))({"v": vectors}, pairs)
    wanted = sum(math.log1p(math.exp(gap)) for gap in (-2, -1, 2, -2)) / 4
    assert float(soft) == pytest.approx(wanted, rel=1e-6)


def test_a_negative_as_far_as_the_positive_is_not_beyond_it():
    labels, vectors = tensor([0, 0, 1, 1]), tensor([[0.0], [2.0], [-2.0], [-5.0]])
    positive, negative = semi_hard_triplets(euclidean_distances(vectors), pairs_of(labels))
    assert (float(positive[0]), float(negative[0])) == (2, 5)


def test_several_vectors_are_averaged_or_added():
    vectors = {"a": drawn(seed=1), "b": drawn(width=3, seed=2)}
    pairs = pairs_of(LABELS)
    single = [float(TripletCriterion(Triplet(on=(name,)))(vectors, pairs)) for name in vectors]
    mean = TripletCriterion(Triplet(on=("a", "b"), weight=3.0))(vectors, pairs)
    total = TripletCriterion(Triplet(on=("a", "b"), weight=3.0, reduce="sum"))(vectors, pairs)
    assert float(mean) == pytest.approx(3 * sum(single) / 2)
    assert float(total) == pytest.approx(3 * sum(single))


@pytest.mark.parametrize("mining", ["hard", "semi-hard"])
@pytest.mark.parametrize("margin", [None, 1.2])
@pytest.mark.parametrize("normalise", [False, True])
def test_gradients_are_those_of_differences(mining, margin, normalise):
    settings = Triplet(on=("v",), margin=margin, mining=mining, normalise=normalise)
    criterion, pairs = TripletCriterion(settings), pairs_of(LABELS[:5])
    vectors = drawn(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: criterion({"v": v}, pairs), (vectors,))


@pytest.mark.parametrize("mining", ["hard", "semi-hard"])
@pytest.mark.parametrize("normalise", [False, True])
def test_equal_pictures_and_zeros_have_finite_gradients(mining, normalise):
    for vectors in (torch.ones(4, 3), torch.zeros(4, 3)):
        vectors.requires_grad_()
        settings = Triplet(on=("v",), mining=mining, normalise=normalise)
        TripletCriterion(settings)({"v": vectors}, pairs_of(tensor([0, 0, 1, 1]))).backward()
        assert torch.isfinite(vectors.grad).all()


def test_unit_distances_do_not_see_lengths():
    vectors = drawn()
    lengths = torch.linspace(0.1, 30, 8, dtype=torch.float64)[:, None]
    torch.testing.assert_close(unit_distances(vectors), unit_distances(vectors * lengths))


def test_an_identity_with_one_picture_is_an_error():
    with pytest.raises(UsageError) as error:
        pairs_of(tensor([7, 7, 5, 2, 2]))
    assert str(error.value) == (
        "a batch holds an identity with one picture, so no triplet has a positive\n"
        "  got      identity 5 in a batch of 5\n"
        "  try      batches with at least 2 pictures of each identity"
    )


def test_a_batch_of_one_identity_is_an_error():
    with pytest.raises(
        UsageError, match="so no triplet has a negative\n  got      3 pictures of identity 7\n"
    ):
        pairs_of(tensor([7, 7, 7]))
