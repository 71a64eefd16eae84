"""rules/pooling.py"""

import pytest
import torch.nn.functional as F  # noqa: N812
from torch import nn


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(3, 2, 1), ((3, 2), (2, 3), (1, 0)), (2, 2, 0), (3, 3, 1), ((8, 5), None, 0), (2, 3, 1)],
)
@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_windows(agrees, kind, kernel, stride, padding, ceil):
    agrees(kind(kernel, stride, padding, ceil_mode=ceil))


@pytest.mark.parametrize(
    "module",
    [
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, divisor_override=7),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveMaxPool2d(1),
        nn.AdaptiveAvgPool2d((4, 1)),
        nn.AdaptiveMaxPool2d((2, 5)),
        nn.AdaptiveAvgPool2d((None, 1)),
    ],
    ids=repr,
)
def test_other_pooling(agrees, module):
    agrees(module)


def test_values_of_a_pool_with_indices(agrees):
    agrees(lambda x: F.max_pool2d(x, 2, return_indices=True)[0])


@pytest.mark.parametrize("size", [(3, 1), (1, 3), (3, 2), (8, 4), (7, 5), (11, 3), (3, 5)])
@pytest.mark.parametrize("kind", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
def test_uneven_adaptive_pooling(agrees, kind, size):
    """8 rows of 5: windows of several sizes, windows that overlap, and more windows than cells."""
    agrees(kind(size))


def test_uneven_rows_are_cut_out_and_reduced(agrees):
    graph = agrees(nn.AdaptiveAvgPool2d((3, 1))).graph
    assert [node.op for node in graph] == [*["slice"] * 3, *["reduce"] * 3, "concat"]
    assert [(n.attrs["start"], n.attrs["stop"]) for n in graph.nodes[:3]] == [(0, 3), (2, 6), (5, 8)]


def test_overlapping_windows_of_one_size_are_one_pooling(agrees):
    graph = agrees(nn.AdaptiveAvgPool2d((7, 1))).graph
    assert [(n.op, n.attrs["kernel"], n.attrs["stride"]) for n in graph] == [("avg_pool", (2, 5), (1, 5))]


class Unpooled(nn.Module):
    """Pooled, changed, and put back to where the maxima were; `back` is the size that is asked for."""

    def __init__(self, back=None, **pool):
        super().__init__()
        self.pool = nn.MaxPool2d(**{"kernel_size": 2, "return_indices": True, **pool})
        self.conv = nn.Conv2d(6, 6, 1)
        self.unpool = nn.MaxUnpool2d(self.pool.kernel_size, self.pool.stride, self.pool.padding)
        self.back = back

    def forward(self, x):
        pooled, places = self.pool(x)
        return self.unpool(self.conv(pooled), places, output_size=self.back or x.shape[2:])


@pytest.mark.parametrize("pool", [{}, {"kernel_size": (3, 2)}, {"kernel_size": 2, "stride": (3, 2)}])
def test_unpooling_to_where_the_maxima_were(agrees, pool):
    captured = agrees(Unpooled(**pool))
    assert captured.any_batch
    assert [node.op for node in captured.graph] == ["max_pool", "conv", "max_unpool"]
    assert [node.name for node in captured.graph] == ["pool", "conv", "unpool"]


def test_unpooling_other_values_needs_no_pooled_ones(agrees):
    """Only result 1 of the pooling is used; the line of code is known all the same."""

    class Places(nn.Module):
        def forward(self, x):
            where = F.max_pool2d(x, 2, return_indices=True)[1]
            return F.max_unpool2d(F.avg_pool2d(x, 2), where, 2, output_size=x.shape[2:])

    graph = agrees(nn.Sequential(nn.ReLU(), Places())).graph
    assert [node.op for node in graph] == ["relu", "avg_pool", "max_unpool"]
    line = Places.forward.__code__.co_firstlineno + 2
    assert str(graph.nodes[-1].origin) == f"1 (test_pooling.py:{line})"


def test_the_line_of_a_refused_pooling_of_which_indices_are_used(refused):
    class Places(nn.Module):
        def forward(self, x):
            return F.max_pool2d(x, 2, dilation=2, return_indices=True)[1]

    message = refused(nn.Sequential(nn.ReLU(), Places()))
    line = Places.forward.__code__.co_firstlineno + 1
    assert f"at       1 (test_pooling.py:{line})\n  because  dilated pooling" in message


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Unpooled(kernel_size=3, stride=2, padding=1), "has padding or rounds up"),
        (Unpooled(ceil_mode=True, back=(8, 6)), "has padding or rounds up"),
        (Unpooled(kernel_size=3, stride=2), "the windows of the pooling that chose its indices overlap"),
        (Unpooled(back=(9, 5)), "its result differs in size from what was pooled, 8x5"),
    ],
)
def test_unpooling_that_is_refused(refused, network, reason):
    assert reason in refused(network)


def test_indices_are_no_numbers(refused):
    assert "it computes with the indices of max_pool2d" in refused(
        lambda x: F.max_pool2d(x, 2, return_indices=True)[1] + 0.5
    )


def test_dilation_is_refused(refused):
    assert "dilated pooling, dilation (2, 2)" in refused(nn.MaxPool2d(2, dilation=2))
