"""rules/arithmetic.py and rules/filling.py"""

import pytest
import torch

VECTOR = torch.ones(6, 1, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + x.relu(),
        lambda x: torch.add(x, x.relu(), alpha=0.3),
        lambda x: torch.sub(x, x.relu(), alpha=2),
        lambda x: x - x.relu(),
        lambda x: x * x.sigmoid(),
        lambda x: x / x.sigmoid(),
        lambda x: torch.maximum(x, -x),
        lambda x: torch.minimum(x, -x),
        lambda x: torch.maximum(x, torch.tensor(0.3)),
        lambda x: x + 1.5,
        lambda x: 1.5 + x,
        lambda x: x - 1.5,
        lambda x: 1.5 - x,
        lambda x: x * 3,
        lambda x: x / 3,
        lambda x: 1 / (x.abs() + 1),
        lambda x: 2.5 / (x.abs() + 1),
        lambda x: torch.rsub(x, 2, alpha=3),
        lambda x: x + torch.tensor(0.25),
        lambda x: x.mean(dim=(2, 3), keepdim=True) * x,
        lambda x: x.mean(dim=1, keepdim=True) + x.mean(dim=(2, 3), keepdim=True),
    ],
)
def test_values_and_numbers(agrees, function):
    agrees(function)


@pytest.mark.parametrize(
    "shape", [(6, 1, 1), (1, 6, 1, 1), (6, 8, 5), (1, 8, 1), (5,), (8, 1), (6, 1, 5), (1,)]
)
@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: x + w,
        lambda x, w: w - x,
        lambda x, w: torch.sub(x, w, alpha=2),
        lambda x, w: x * w,
        lambda x, w: x / w,
        lambda x, w: w / (x.abs() + 1),
    ],
    ids=["add", "rsub", "sub", "mul", "div", "rdiv"],
)
def test_a_constant_that_spans_some_axes(agrees, function, shape):
    graph = agrees(function, w=torch.zeros(shape)).graph
    assert {node.op for node in graph} <= {"scale", "power", "abs"}


def test_a_constant_that_enlarges_the_value(agrees):
    graph = agrees(lambda x, w: x.mean(dim=(2, 3), keepdim=True) + w, w=torch.zeros(1, 6, 4, 3)).graph
    assert [node.op for node in graph] == ["reduce", "constant", "add"]


def test_a_per_channel_constant_is_a_view(agrees):
    graph = agrees(lambda x, w: x * w, w=VECTOR.clone()).graph
    assert (graph.nodes[0].op, graph.nodes[0].attrs["axis"]) == ("scale", 1)
    assert graph.nodes[0].params["weight"].shape == (6,)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + torch.ones_like(x),
        lambda x: x * torch.full_like(x, 0.5),
        lambda x: x + torch.zeros_like(x),
        lambda x: x + x.new_ones(6, 1, 1),
        lambda x: x * torch.arange(5),
        lambda x: x + torch.eye(8, 5),
        lambda x: x + torch.linspace(0, 1, 5),
    ],
)
def test_constants_made_in_forward(agrees, function):
    agrees(function)


def test_integer_results_are_refused(refused):
    message = refused(lambda x: x + x.argmax(dim=1, keepdim=True))
    assert message.startswith("aten.argmax.default cannot be read\n  at       argmax (conftest.py:")


def test_comparisons_are_refused(refused):
    message = refused(lambda x: torch.where(x > 0, x, x * 2))
    assert "aten.gt.Scalar" in message
    assert "aten.where.self" in message
