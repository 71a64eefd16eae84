"""LAG-Net's centres against a loop over pictures."""

import math

import pytest
import torch
from torch import tensor

from mgn_reid.training.losses.centre import CentreCriterion
from mgn_reid.training.losses.settings import Centre


def unit(row):
    length = math.hypot(*row)
    return [x / length if length else 0.0 for x in row]


def by_loops(batches, rate, classes, width):
    """The losses of all batches and the centres at the end."""
    centres, losses = [[0.0] * width for _ in range(classes)], []
    for vectors, labels in batches:
        roots = [unit([math.copysign(math.sqrt(abs(x) + 1e-12), x) for x in row]) for row in vectors.tolist()]
        away = {label: [] for label in labels}
        loss = 0.0
        for root, label in zip(roots, labels, strict=True):
            difference = [m - c for m, c in zip(root, unit(centres[label]), strict=True)]
            away[label].append(difference)
            loss += sum(d * d for d in difference)
        losses.append(loss / len(labels))
        for label, rows in away.items():
            mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
            centres[label] = [c + rate * d for c, d in zip(centres[label], mean, strict=True)]
    return losses, centres


def drawn_batches(count):
    random = torch.Generator().manual_seed(3)
    labels = [[2, 2, 0, 0], [0, 3, 3, 0], [2, 3, 2, 3]]
    return [(torch.randn(4, 5, dtype=torch.float64, generator=random), labels[k % 3]) for k in range(count)]


def test_losses_and_centres_are_what_loops_find():
    batches = drawn_batches(7)
    criterion = CentreCriterion(Centre(on="v", rate=0.3, weight=2.0), 5, 4).double()
    found = [float(criterion(vectors, tensor(labels))) for vectors, labels in batches]
    losses, centres = by_loops(batches, 0.3, 4, 5)
    assert found == pytest.approx([2 * loss for loss in losses], rel=1e-12)
    torch.testing.assert_close(
        criterion.centres, tensor(centres, dtype=torch.float64), rtol=1e-12, atol=1e-14
    )
    assert not criterion.centres[1].any()


def test_the_first_loss_is_one_and_the_first_step_goes_towards_the_vector():
    """The root of (9, -16) is (3, -4), at length 1 (0.6, -0.8)."""
    criterion = CentreCriterion(Centre(on="v", rate=0.05), 2, 3)
    loss = criterion(tensor([[9.0, -16.0], [9.0, -16.0]]), tensor([1, 1]))
    assert float(loss) == pytest.approx(1)
    assert criterion.centres[1].tolist() == pytest.approx([0.03, -0.04])
    assert float(criterion(tensor([[9.0, -16.0]]), tensor([1]))) == pytest.approx(0, abs=1e-12)


def test_evaluation_moves_no_centre():
    criterion = CentreCriterion(Centre(on="v"), 5, 4).eval()
    criterion(torch.randn(4, 5), tensor([0, 0, 1, 1]))
    assert not criterion.centres.any()


def test_centres_are_state_and_take_no_gradient():
    criterion = CentreCriterion(Centre(on="v"), 5, 4)
    vectors = torch.randn(4, 5, requires_grad=True)
    criterion(vectors, tensor([0, 0, 1, 1])).backward()
    assert vectors.grad.any()
    assert not criterion.centres.requires_grad
    assert list(criterion.state_dict()) == ["centres"]
    assert list(criterion.parameters()) == []


def test_gradients_are_those_of_differences():
    ((vectors, labels),) = drawn_batches(1)
    criterion = CentreCriterion(Centre(on="v"), 5, 4).double()
    criterion(vectors.flip(0), tensor(labels))
    criterion.eval()
    given = vectors.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: criterion(v, tensor(labels)), (given,))
