"""runner.py: the program gives bit for bit what the network's own code gives."""

import numpy as np
import pytest
import torch
from small_networks import small_mgn
from torch import nn

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.pytorch import FORMAT
from mgn_convert.formats.pytorch.capture import capture
from mgn_convert.formats.pytorch.network import Loaded, load
from mgn_convert.formats.pytorch.runner import PyTorchRunner

SHAPE = (3, 48, 16)
SOURCE = Source(None, factory="small_networks:small_mgn", input_shape=SHAPE, output="0")
IMAGES = np.random.default_rng(2).standard_normal((3, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def runner():
    with FORMAT.open_runner(SOURCE) as opened:
        yield opened


@pytest.mark.parametrize("count", [1, 3])
def test_module_and_program_agree_bit_for_bit(runner, count):
    own = runner.run(IMAGES[:count])
    tapped = runner.run(IMAGES[:count], taps=runner.tensors)
    assert list(own) == ["cat"]
    np.testing.assert_array_equal(own["cat"], tapped["cat"])
    assert set(tapped) == set(runner.tensors)


def test_tensors_are_those_of_the_graph(runner):
    graph = FORMAT.read(SOURCE)
    assert runner.tensors == tuple(node.name for node in graph)
    assert (runner.outputs, runner.input_shape) == (graph.outputs, SHAPE)
    values = graph.run({"x": IMAGES}, taps=runner.tensors)
    for name, array in runner.run(IMAGES, taps=runner.tensors).items():
        np.testing.assert_allclose(array, values[name], rtol=1e-4, atol=1e-5)


def test_taps_are_not_overwritten_by_in_place_operations(runner):
    network = small_mgn()
    with torch.no_grad():
        wanted = network.stem[1](network.stem[0](torch.from_numpy(IMAGES))).numpy()
    np.testing.assert_array_equal(runner.run(IMAGES, taps=["stem.1"])["stem.1"], wanted)


def test_isolated_starts_from_the_nearest_reference(runner):
    values = runner.run(IMAGES, taps=runner.tensors)
    reference = {"block.conv1": values["block.conv1"], "stem.3": np.zeros_like(values["stem.3"])}
    np.testing.assert_array_equal(runner.run_isolated("block.relu", reference), values["block.relu"])
    with pytest.raises(UsageError, match="the reference values do not lead to"):
        runner.run_isolated("block.relu", {"cat": values["cat"]})
    whole = runner.run_isolated("cat", {"x": IMAGES})
    np.testing.assert_array_equal(whole, values["cat"])


def test_describe(runner):
    assert runner.describe("stem.0").startswith("conv at stem.0 (small_networks.py:")
    assert runner.describe("x") == "input"
    assert runner.engine == f"PyTorch {torch.__version__}"


def test_double_precision_is_the_graph_in_double_precision():
    with PyTorchRunner(load(SOURCE), torch.float64) as exact:
        got = exact.run(IMAGES)["cat"]
    assert got.dtype == np.float64
    wanted = FORMAT.read(SOURCE).run({"x": IMAGES})["cat"]
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_wrong_images_and_taps(runner):
    with pytest.raises(
        UsageError, match=r"the images have another shape\n  got      \[3, 3, 16, 48\], wanted"
    ):
        runner.run(IMAGES.transpose(0, 1, 3, 2))
    with pytest.raises(UsageError, match="the network has no tensor 'stem'"):
        runner.run(IMAGES, taps=["stem"])


class Squeezing(nn.Module):
    """At batch 1 its own code loses the batch axis."""

    def forward(self, x):
        return x.mean(dim=(2, 3), keepdim=True).squeeze()


class Filling(nn.Module):
    """Its constant has the size of the batch it was captured with."""

    def forward(self, x):
        return torch.cat([x, torch.ones(x.size(0), 1, *x.shape[2:])], dim=1)


@pytest.mark.parametrize(("network", "wanted"), [(Squeezing(), (3,)), (Filling(), (4, 48, 16))])
def test_every_batch_keeps_its_axis(network, wanted):
    loaded = Loaded(capture(network, SHAPE), network)
    with PyTorchRunner(loaded) as opened:
        for count in (1, 3):
            assert next(iter(opened.run(IMAGES[:count]).values())).shape == (count, *wanted)


class Picky(nn.Module):
    def forward(self, x):
        return nn.functional.group_norm(x.mean((2, 3), keepdim=True), 3)


def test_a_network_that_fails_on_one_image():
    """PyTorch refuses a norm over a single value."""
    network = Picky()
    with PyTorchRunner(Loaded(capture(network, SHAPE), network)) as opened:
        opened.run(IMAGES[:3])
        with pytest.raises(UnsupportedError) as caught:
            opened.run(IMAGES[:1])
    assert caught.value.what == "the network does not run on 1 images"
    assert caught.value.because.startswith("Expected more than 1 value")


def test_results_are_copies(runner):
    first = runner.run(IMAGES)["cat"]
    second = runner.run(IMAGES)["cat"]
    first += 1
    assert not np.shares_memory(first, second)
    assert not np.array_equal(first, second)
