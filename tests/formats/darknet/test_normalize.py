"""Batch norms in Darknet's formula, whose constant stands outside the root."""

import numpy as np
import pytest

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.formats.darknet.normalize import OFFSET, to_darknet, variance_of

LOWS = [1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1]


def norm_node(network, **fields):
    return network(lambda b, x: b.add("batch_norm", x, **fields)).nodes[0]


@pytest.mark.parametrize("eps", [0.0, 1e-5, 1e-3])
@pytest.mark.parametrize("low", LOWS)
def test_darknet_divides_by_the_same_number(low, eps, network):
    var = np.geomspace(low, 100 * low, 5).astype(np.float32)
    mean = np.zeros(5, np.float32)
    _, weight, _, rolling = to_darknet(norm_node(network, mean=mean, var=var, eps=eps))
    divisor = np.sqrt(rolling.astype(np.float64)) + OFFSET
    wanted = np.sqrt(var.astype(np.float64) + eps)
    # Half an ulp of float32 in the variance is a quarter of one in its root; the scale is 1 unless needed.
    np.testing.assert_allclose(divisor / weight, wanted, rtol=6e-8)
    assert (weight == 1).all() or (low == 1e-12 and eps == 0)


def test_a_variance_below_darknets_constant_goes_to_the_scale(network):
    var = np.array([1e-20, 1e-14, 9.9e-13, 1e-12, 1.1e-12], np.float32)
    node = norm_node(network, mean=np.zeros(5), var=var, eps=0.0, weight=np.full(5, 3.0))
    _, weight, _, rolling = to_darknet(node)
    wanted = 3 / np.sqrt(var.astype(np.float64))
    np.testing.assert_allclose(weight / (np.sqrt(rolling.astype(np.float64)) + OFFSET), wanted, rtol=1e-7)
    assert (rolling[:2] == 0).all()


def test_reading_and_writing_again_changes_nothing(network):
    rolling = np.array([0, 1e-30, 1e-14, 1e-5, 2.5], np.float32)
    node = norm_node(network, mean=np.zeros(5), var=variance_of(rolling), eps=0.0)
    _, weight, _, again = to_darknet(node)
    np.testing.assert_allclose(again, rolling, rtol=1e-7, atol=1e-29)
    assert (weight == 1).all()


def test_nan_stays_nan(network):
    var = np.array([np.nan, 1, 1, 1, 1], np.float32)
    rolling = to_darknet(norm_node(network, mean=np.zeros(5), var=var))[3]
    assert np.isnan(rolling).tolist() == [True, False, False, False, False]


def test_no_variance_at_all_is_refused(network, write):
    graph = network(lambda b, x: b.add("batch_norm", x, mean=np.zeros(5), var=np.arange(5.0), eps=0.0))
    with pytest.raises(UnsupportedError) as caught:
        write(graph)
    assert caught.value.because == "var + eps is positive, but channel 0 has 0"


@pytest.mark.parametrize("low", [1e-8, 1e-6, 1e-4, 1e-2])
def test_small_variances_in_the_engine(low, network, make, write, images, read_output, difference):
    """Values whose spread fits the variances, as in a trained network."""

    def layers(b, x):
        x = b.add("scale", x, weight=np.full(5, np.sqrt(10 * low), np.float32))
        return make.norm(b, x, low=low, high=20 * low, mean=np.zeros(5, np.float32))

    graph = network(layers)
    values = images(graph, 3)
    wanted = graph.run({"data": values})[graph.outputs[0]]
    cfg = write(graph)
    assert difference(read_output(cfg, values), wanted) <= 2e-7
    with FORMAT.open_runner(Source(cfg)) as runner:
        (found,) = runner.run(values).values()
    # Three float32 roundings per value.
    assert difference(found, wanted) <= 5e-7
