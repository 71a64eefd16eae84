"""Cross entropy and its class layers against loops over pictures and classes."""

import math

import pytest
import torch
from torch import tensor

from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.training.losses.classes import (
    ClassCriterion,
    circle_logits,
    cosface_logits,
    smoothed_cross_entropy,
)
from mgn_reid.training.losses.settings import CrossEntropy

LABELS = tensor([2, 0, 3, 2])


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cross_entropy_by_loops(logits, labels, smoothing):
    terms = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total = math.log(sum(math.exp(x - max(row)) for x in row)) + max(row)
        other = smoothing / (len(row) - 1)
        terms.append(sum((total - x) * (1 - smoothing if c == label else other) for c, x in enumerate(row)))
    return sum(terms) / len(terms)


def cosines_by_loops(features, weight):
    return [
        [sum(a * b for a, b in zip(x, w, strict=True)) / (math.hypot(*x) * math.hypot(*w)) for w in weight]
        for x in features.tolist()
    ]


def outputs_of(features, weight, bias=None):
    return TrainingOutputs({"v": features}, {"head": Scored(features, weight, bias)})


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_cross_entropy_is_what_loops_find(smoothing):
    logits = 5 * drawn(4, 6)
    found = smoothed_cross_entropy(logits, LABELS, smoothing)
    assert float(found) == pytest.approx(cross_entropy_by_loops(logits, LABELS, smoothing), rel=1e-12)


def test_smoothing_leaves_the_own_class_one_minus_epsilon():
    """Logits 0 and log 3 have probabilities 1/4 and 3/4; the own class is the second."""
    found = smoothed_cross_entropy(tensor([[0.0, math.log(3)]]), tensor([1]), 0.1)
    assert float(found) == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))


def test_circle_logits_are_those_of_the_paper():
    cosines = tensor([[0.5, -0.5, 0.9]])
    found = circle_logits(cosines, tensor([0]), scale=64, margin=0.25)
    own = 64 * (1.25 - 0.5) * (0.5 - 0.75)
    assert found[0].tolist() == pytest.approx([own, 0, 64 * (0.9 + 0.25) * (0.9 - 0.25)])


def test_circle_weights_have_no_gradient():
    cosines = tensor([[0.5, 0.3]], requires_grad=True)
    circle_logits(cosines, tensor([0]), scale=10, margin=0.2).sum().backward()
    assert cosines.grad[0].tolist() == pytest.approx([10 * (1.2 - 0.5), 10 * (0.3 + 0.2)])


def test_cosface_takes_the_margin_off_the_own_class():
    found = cosface_logits(tensor([[0.5, -0.5], [0.1, 0.2]]), tensor([0, 1]), scale=10, margin=0.3)
    torch.testing.assert_close(found, tensor([[2.0, -5.0], [1.0, -1.0]]))


@pytest.mark.parametrize("layer", ["circle", "cosface"])
def test_margins_apply_to_cosines_of_vectors_and_weights(layer):
    features, weight = drawn(4, 5), drawn(6, 5, seed=1)
    settings = CrossEntropy(layer=layer, scale=16, margin=0.2, smoothing=0.1, weight=0.5)
    outputs = outputs_of(features, weight, bias=drawn(6, seed=2))
    found = ClassCriterion(settings, outputs, 6)(outputs, LABELS)

    logits = []
    for label, row in zip(LABELS.tolist(), cosines_by_loops(features, weight.tolist()), strict=True):
        if layer == "cosface":
            logits.append([16 * (c - 0.2 * (k == label)) for k, c in enumerate(row)])
        else:
            own, other = (lambda c: max(0, 1.2 - c) * (c - 0.8)), (lambda c: max(0, c + 0.2) * (c - 0.2))
            logits.append([16 * (own(c) if k == label else other(c)) for k, c in enumerate(row)])
    wanted = 0.5 * cross_entropy_by_loops(tensor(logits, dtype=torch.float64), LABELS, 0.1)
    assert float(found) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("biased", [True, False])
def test_linear_heads_are_averaged_and_use_their_bias_if_told(biased):
    first, second = drawn(4, 5), drawn(4, 2, seed=1)
    weights, bias = (drawn(6, 5, seed=2), drawn(6, 2, seed=3)), drawn(6, seed=4)
    classified = {"a": Scored(first, weights[0], bias), "b": Scored(second, weights[1])}
    outputs = TrainingOutputs({}, classified)
    found = ClassCriterion(CrossEntropy(weight=3.0, bias=biased), outputs, 6)(outputs, LABELS)
    logits = [first @ weights[0].T + biased * bias, second @ weights[1].T]
    wanted = 3 * sum(cross_entropy_by_loops(x, LABELS, 0) for x in logits) / 2
    assert float(found) == pytest.approx(wanted, rel=1e-12)


def test_a_vector_without_a_head_gets_a_class_layer_without_bias():
    outputs = TrainingOutputs({"v": drawn(4, 5)}, {"head": Scored(drawn(4, 3), drawn(6, 3))})
    criterion = ClassCriterion(CrossEntropy(on=("v", "head")), outputs, 6).double()
    (layer,) = criterion.parameters()
    assert layer.shape == (6, 5)
    assert 0.003 < float(layer.detach().std()) < 0.03
    wanted = [outputs.vectors["v"] @ layer.detach().T, drawn(4, 3) @ drawn(6, 3).T]
    mean = sum(cross_entropy_by_loops(x, LABELS, 0) for x in wanted) / 2
    loss = criterion(outputs, LABELS)
    assert loss.item() == pytest.approx(mean, rel=1e-12)
    loss.backward()
    assert layer.grad.any()


@pytest.mark.parametrize("layer", ["linear", "cosface"])
def test_gradients_are_those_of_differences(layer):
    """Not circle's, whose weighting factors count as constants."""
    inputs = [drawn(4, 3, seed=k).requires_grad_() for k in range(2)]
    settings = CrossEntropy(layer=layer, scale=4, smoothing=0.1)
    criterion = ClassCriterion(settings, outputs_of(*inputs), 4)
    assert torch.autograd.gradcheck(lambda *x: criterion(outputs_of(*x), LABELS), inputs)
