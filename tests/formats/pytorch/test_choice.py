"""rules/choice.py: channels that an image chooses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from mgn_convert.formats.pytorch.network import Loaded
from mgn_convert.formats.pytorch.runner import PyTorchRunner


class Strongest(nn.Module):
    """The k channels with the largest (or smallest) sums, found in the way that `spread` has."""

    def __init__(self, k=4, spread=None, **how):
        super().__init__()
        self.k, self.how = k, how
        self.spread = spread or (lambda i, x: i[:, :, None, None].expand(-1, -1, *x.shape[2:]))

    def forward(self, x):
        chosen = x.sum((2, 3)).topk(self.k, dim=1, **self.how).indices
        return x.gather(1, self.spread(chosen, x))


SPREADS = {
    "expand": None,
    "view": lambda i, x: i.view(i.shape[0], -1, 1, 1).expand(-1, -1, 8, 5),
    "repeat": lambda i, x: i.unsqueeze(2).unsqueeze(3).repeat(1, 1, 8, 5),
    "expand as": lambda i, x: i.unsqueeze(-1).unsqueeze(-1).expand_as(x[:, :4]),
}


@pytest.mark.parametrize("name", SPREADS)
def test_channels_of_the_largest_sums(agrees, name):
    captured = agrees(Strongest(spread=SPREADS[name]))
    assert captured.any_batch
    assert [node.op for node in captured.graph] == ["reduce", "top_channels"]


def test_channels_of_the_smallest_sums(agrees):
    agrees(Strongest(k=1, largest=False))


def test_take_along_dim_is_a_gather(agrees):
    agrees(lambda x: torch.take_along_dim(x, x.mean((2, 3)).topk(2, 1)[1][:, :, None, None], dim=1))


def test_the_scores_and_the_channels_of_one_topk(agrees):
    def both(x):
        scores, chosen = x.mean((2, 3)).topk(3, dim=1)
        return x.gather(1, chosen[:, :, None, None].expand(-1, -1, 8, 5)), scores

    assert len(agrees(both).graph.outputs) == 2


def test_the_origin_is_the_line_of_the_call(agrees):
    graph = agrees(nn.Sequential(nn.ReLU(), Strongest())).graph
    line = Strongest.forward.__code__.co_firstlineno + 2
    assert str(graph.nodes[-1].origin) == f"1 (test_choice.py:{line})"
    assert graph.nodes[-1].name == "1"


REFUSED = {
    "it chooses along another axis": lambda x: x.topk(2, dim=3).values,
    "the order of what it chooses is not fixed": lambda x: x.sum((2, 3)).topk(2, 1, sorted=False).values,
    "it computes with the indices of topk": lambda x: x.sum((2, 3)).topk(2, 1).indices * 2,
    "it mixes the indices of a topk": lambda x: x.gather(
        1, x.sum((2, 3)).topk(2, 1).indices[:, None, :, None].expand(-1, 6, 2, 5)
    ),
    "it picks other things than whole channels": lambda x: x.gather(
        1, x.sum((2, 3)).topk(2, 1).indices[:, :, None, None].expand(-1, -1, 3, 5)
    ),
    "the topk chose among 5 channels, and it has 6": lambda x: x.gather(
        1, x[:, 1:].sum((2, 3)).topk(2, 1).indices[:, :, None, None].expand(-1, -1, 8, 5)
    ),
    "its index is not that of a topk over channels": lambda x: x.gather(
        1, torch.zeros(x.shape[0], 1, 8, 5, dtype=torch.int64)
    ),
    "its index is not that of a topk over channels ": lambda x: x.gather(
        1, F.max_pool2d(x, 2, return_indices=True)[1]
    ),
    "only its result 0 is known, and result 1 is used": lambda x: x.gather(1, x.max(1, keepdim=True)[1]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_choice_of_channels(refused, reason):
    assert reason.strip() in refused(REFUSED[reason])


def test_the_runner_taps_and_isolates_a_choice(agrees):
    captured = agrees(nn.Sequential(nn.Conv2d(6, 7, 1), Strongest()))
    images = np.random.default_rng(1).standard_normal((2, 6, 8, 5))
    with PyTorchRunner(Loaded(captured), torch.float64) as runner:
        found = runner.run(images, taps=runner.tensors)
        alone = runner.run_isolated("1", {"0": found["0"]})
    np.testing.assert_array_equal(alone, found["1"])
