"""capture.py, program.py and functional.py: whole networks and their outputs."""

import warnings
from collections import namedtuple

import numpy as np
import pytest
import torch
from small_networks import SmallMGN
from torch import nn

from mgn_convert.errors import UsageError
from mgn_convert.formats.pytorch.capture import capture

Pair = namedtuple("Pair", "first second")


class Gate(nn.Module):
    """Squeeze and excitation, then attention over places as in CBAM."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(6, 2), nn.ReLU(inplace=True), nn.Linear(2, 6), nn.Sigmoid())
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        n, c, _, _ = x.size()
        y = nn.functional.adaptive_avg_pool2d(x, 1).view(n, c)
        x = x * self.fc(y).view(n, c, 1, 1).expand_as(x)
        places = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
        return x * torch.sigmoid(self.conv(places))


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


NESTED = Returns(lambda x: {"a": x.relu(), "b": [x.sigmoid(), {"c": x.tanh()}], "none": None})


def test_attention_gates(agrees):
    agrees(Gate())


def test_small_mgn(agrees):
    captured = agrees(SmallMGN(), (3, 48, 16))
    assert captured.graph.outputs == ("cat", "classifier")
    only = agrees(SmallMGN(), (3, 48, 16), output="0").graph
    assert only.outputs == ("cat",)
    assert "classifier" not in only


@pytest.mark.parametrize(
    ("output", "ops"),
    [
        (None, ["relu", "sigmoid", "tanh"]),
        ("a", ["relu"]),
        ("b", ["sigmoid", "tanh"]),
        ("b.0", ["sigmoid"]),
        ("b.1.c", ["tanh"]),
    ],
)
def test_outputs_by_path(output, ops):
    graph = capture(NESTED, (6, 8, 5), output=output).graph
    assert [graph.node(name).op for name in graph.outputs] == ops


def test_outputs_of_a_named_tuple():
    network = Returns(lambda x: Pair(x.relu(), x.sigmoid()))
    assert [capture(network, (6, 8, 5), output="second").graph.nodes[0].op] == ["sigmoid"]


def test_an_unknown_output():
    with pytest.raises(UsageError) as caught:
        capture(NESTED, (6, 8, 5), output="d")
    assert str(caught.value) == (
        "the network has no output 'd'\n  got      'a', 'b.0', 'b.1.c'\n  try      --output with one of these"
    )


def _without_gradient(x):
    with torch.no_grad():
        return x.relu()


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.relu() if x.shape[1] == 6 else x.tanh(),
        lambda x: _asserted(x).relu(),
        lambda x: torch.utils.checkpoint.checkpoint(torch.relu, x, use_reentrant=False),
        _without_gradient,
        lambda x: [x, x.relu()][-1],
    ],
)
def test_python_in_forward(agrees, make):
    assert len(agrees(Returns(make)).graph.nodes) == 1


def _asserted(x):
    assert x.size(2) == 8
    return x


def test_data_parallel_is_unwrapped():
    graph = capture(nn.DataParallel(SmallMGN()), (3, 48, 16), output="0").graph
    assert graph.nodes[0].name == "stem.0"


def test_training_mode_is_left():
    network = SmallMGN().train()
    assert capture(network, (3, 48, 16)).graph.outputs == ("cat", "classifier")


def test_parameters_are_views():
    network = SmallMGN().eval()
    graph = capture(network, (3, 48, 16)).graph
    weight = graph.node("stem.0").params["weight"]
    assert np.shares_memory(weight, network.stem[0].weight.detach().numpy())
    norm = graph.node("block.bn1").params
    assert np.shares_memory(norm["var"], network.block.bn1.running_var.numpy())


def test_an_output_twice_and_the_input_itself():
    graph = capture(Returns(lambda x: (x.relu(), x, x.relu())), (3, 8, 8)).graph
    assert graph.outputs == ("relu", "x", "relu_1")


class OneImage(nn.Module):
    def forward(self, x):
        assert x.shape[0] == 1, "one image at a time"
        return x.relu()


def test_a_network_for_one_image():
    captured = capture(OneImage(), (3, 8, 8))
    assert not captured.any_batch
    assert captured.program.batch == 1


def test_an_exported_data_parallel_has_the_same_names(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(nn.DataParallel(SmallMGN().eval()), (torch.zeros(2, 3, 48, 16),))
    names = [node.name for node in capture(exported).graph]
    assert names == [node.name for node in capture(SmallMGN(), (3, 48, 16)).graph]


def _views(x):
    y = x * 2.0
    part = y[:, 1:3]
    y.relu_()
    return part + y[:, :2]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: _added(x * 2.0),
        lambda x: _added(torch.nn.functional.dropout(x * 2.0, training=False)),
        lambda x: _added((x * 2.0).view(x.size(0), -1)),
        lambda x: _twice(x * 2.0),
        _views,
    ],
)
def test_in_place_operations(agrees, make):
    agrees(Returns(make), (6, 8, 5))


def _added(y):
    before = y.sigmoid()
    y.add_(1).mul_(y)
    return before + y


def _twice(y):
    z = y
    y.relu_()
    y += z
    return y + z
