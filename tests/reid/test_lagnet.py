"""LAG-Net against the keys of a published checkpoint and golden embeddings of the original network."""

import json

import numpy as np
import pytest
import torch
from agreement import assert_agreement
from seeded import GOLDEN, assert_golden, normalised, seeded, seeded_images

from mgn_convert.formats.pytorch.capture import capture
from mgn_reid.models.lagnet import ARCHITECTURE, MAPS, AttentionMaps, LAGNet, _drop, _look


def on_meta(**options):
    with torch.device("meta"):
        return LAGNet(**options).eval()


def shapes_of(network):
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def published():
    recorded = json.loads((GOLDEN / "lagnet.json").read_text())
    return {key: tuple(shape) for key, shape in recorded.items()}


def test_keys_are_those_of_the_checkpoints_but_for_the_resnet_that_is_not_used(published):
    used = {key: shape for key, shape in published.items() if not key.startswith("test.")}
    assert shapes_of(on_meta()) == used
    assert len(published) - len(used) == 320
    assert "test." in ARCHITECTURE.ignored


def test_infer_reads_the_options_from_the_shapes(published):
    assert ARCHITECTURE.infer(published) == {"features": 512, "num_classes": 751}
    assert ARCHITECTURE.infer({}) == {}


def test_embeddings_are_those_of_the_original():
    network = seeded(on_meta())
    assert_golden(network, "lagnet", normalised(seeded_images(384, 128)))


def test_export_chooses_the_channels_in_the_graph():
    images = torch.zeros(2, *ARCHITECTURE.input_shape, device="meta")
    exported = torch.export.export(on_meta(), (images,), strict=False)
    calls = {str(node.target): node for node in exported.graph.nodes if node.op == "call_function"}
    assert calls["aten.topk.default"].args[1:] == (MAPS, 1)
    assert calls["aten.gather.default"].meta["val"].shape == (2, MAPS, 24, 8)


def test_maps_are_the_channels_with_the_largest_sums_of_each_image():
    maps = AttentionMaps(channels=40).double().eval()
    torch.nn.init.dirac_(maps.conv.weight)
    images = torch.randn(3, 40, 5, 2, dtype=torch.float64)
    found = maps(images).detach().numpy()
    positive = np.maximum(images.numpy() / np.sqrt(1 + 1e-3), 0)
    order = np.argsort(-positive.sum(axis=(2, 3)), axis=1)[:, :MAPS]
    np.testing.assert_allclose(found, np.take_along_axis(positive, order[:, :, None, None], axis=1))


def test_the_maps_and_the_look_become_an_equal_graph():
    class Local(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attentions = AttentionMaps(channels=31)

        def forward(self, x):
            return _look(x, self.attentions(x))

    network = seeded(Local())
    captured = capture(network, (31, 5, 3))
    assert_agreement(network, captured, (31, 5, 3), tolerance=1e-11)
    chosen = captured.graph.node("attentions.gather")
    assert (chosen.op, chosen.attrs["k"], chosen.shape) == ("top_channels", MAPS, (1, MAPS, 5, 3))
    assert chosen.inputs == ("attentions.relu", "attentions.sum")


def test_a_look_is_the_mean_and_maximum_of_features_plus_map():
    features, maps = torch.randn(2, 7, 5, 3), torch.randn(2, MAPS, 5, 3)
    lit = features[:, :, None] + maps[:, None]
    wanted = lit.mean((3, 4)) + lit.amax((3, 4))
    torch.testing.assert_close(_look(features, maps), wanted[..., None])


def test_training_drops_the_places_where_a_map_is_bright():
    maps = torch.zeros(1, MAPS, 2, 3)
    maps[0, 7] = torch.tensor([[4.0, 1.9, 2.0], [0.0, 3.0, 1.0]])
    kept = _drop(torch.ones(1, 5, 2, 3), maps)
    assert kept[0, 3].tolist() == [[0, 1, 0], [1, 0, 1]]


def test_outputs_in_training_and_evaluation():
    network = LAGNet(num_classes=5)
    images = torch.randn(2, 3, 96, 32)
    shapes = [(2, 3584), (2, MAPS * 2048), *[(2, 256)] * 4, (2, 512), *[(2, 5)] * 7]
    with torch.no_grad():
        trained, evaluated = network(images), network.eval()(images)
    assert [tuple(t.shape) for t in trained] == shapes
    assert [tuple(t.shape) for t in evaluated] == shapes
    assert torch.equal(evaluated[0][:, 3 * 512 : 4 * 512], evaluated[6])
    with torch.no_grad():
        assert network(images[:1])[0].shape == (1, 3584)
