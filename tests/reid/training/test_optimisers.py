"""Which parameter learns how."""

import pytest
import torch
from torch import nn

from mgn_convert.errors import UsageError
from mgn_reid.training.optimisers import make_optimiser, set_rates
from mgn_reid.training.sections import Optimiser


def network():
    return nn.ModuleDict({"trunk": nn.Linear(2, 3), "scale1": nn.Linear(3, 3), "norm": nn.BatchNorm1d(3)})


def made(**settings):
    net = network()
    optimiser = make_optimiser(Optimiser.model_validate(settings), net.named_parameters())
    names = {id(p): name for name, p in net.named_parameters()}
    told = {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for p in group["params"]
    }
    assert set(told) == set(names.values())
    return optimiser, told


def test_the_first_group_that_matches_decides():
    groups = [{"match": ["scale*"], "rate": 0.5}, {"match": ["*.weight"], "weight_decay": 0.0}]
    _, told = made(kind="sgd", rate=0.1, weight_decay=0.01, groups=groups)
    assert told["scale1.weight"] == told["scale1.bias"] == (0.5, 0.01)
    assert told["trunk.weight"] == told["norm.weight"] == (0.1, 0.0)
    assert told["trunk.bias"] == (0.1, 0.01)


def test_biases_may_have_rate_and_decay_of_their_own():
    _, told = made(kind="adam", rate=0.1, weight_decay=0.01, bias_factor=2.0, bias_weight_decay=0.0)
    assert told["trunk.bias"] == told["norm.bias"] == (0.2, 0.0)
    assert told["trunk.weight"] == (0.1, 0.01)


def test_rates_follow_the_factor_and_do_not_add_up():
    optimiser, _ = made(kind="sgd", rate=0.1, groups=[{"match": ["scale*"], "rate": 0.5}])
    for share in (0.1, 0.5, 0.01):
        set_rates(optimiser, share)
        found = sorted(group["lr"] for group in optimiser.param_groups)
        assert found == pytest.approx([0.1 * share, 0.5 * share])


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ("adam", lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.9), 1e-3, 0.01)),
        ("amsgrad", lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.9), 1e-3, 0.01, amsgrad=True)),
        ("sgd", lambda p: torch.optim.SGD(p, 0.1, 0.7, weight_decay=0.01)),
        ("nesterov", lambda p: torch.optim.SGD(p, 0.1, 0.7, weight_decay=0.01, nesterov=True)),
    ],
)
def test_each_kind_steps_as_its_own_optimiser_does(kind, reference):
    torch.manual_seed(0)
    net = network()
    twin = network()
    twin.load_state_dict(net.state_dict())
    settings = dict(kind=kind, rate=0.1, weight_decay=0.01, betas=(0.8, 0.9), epsilon=1e-3, momentum=0.7)
    own = make_optimiser(Optimiser.model_validate(settings), net.named_parameters())
    other = reference(twin.parameters())
    for step in range(4):
        for p, q in zip(net.parameters(), twin.parameters(), strict=True):
            p.grad = torch.full_like(p, 3.0 - 2 * step)
            q.grad = p.grad.clone()
        own.step()
        other.step()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_a_pattern_that_fits_nothing_is_refused():
    with pytest.raises(UsageError, match=r"scal1\.\*") as caught:
        made(kind="sgd", rate=0.1, groups=[{"match": ["trunk.*"]}, {"match": ["scal1.*"]}])
    assert caught.value.at == "optimiser.groups.1.match"
