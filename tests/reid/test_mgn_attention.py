"""MGN with attention against the keys of a published checkpoint and golden embeddings of the original."""

import json

import pytest
import torch
from agreement import assert_agreement
from seeded import GOLDEN, assert_golden, normalised, seeded, seeded_images

from mgn_convert.formats.pytorch.capture import capture
from mgn_reid.models.mgn_attention import ARCHITECTURE, AttentionMGN, JointAttention, PlaceWeights


def on_meta(**options):
    with torch.device("meta"):
        return AttentionMGN(**options).eval()


def shapes_of(network):
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def published():
    recorded = json.loads((GOLDEN / "mgn_lwplw_attention_avg.json").read_text())
    return {key: tuple(shape) for key, shape in recorded.items()}


def test_keys_are_those_of_the_checkpoints(published):
    assert shapes_of(on_meta()) == published


def test_infer_reads_the_options_from_the_shapes(published):
    assert ARCHITECTURE.infer(published) == {"features": 256, "activation": "prelu", "num_classes": 751}


def test_embeddings_are_those_of_the_original():
    network = seeded(on_meta())
    assert_golden(network, "mgn_lwplw_attention_avg", normalised(seeded_images(384, 128)))


def test_export_keeps_the_unpooling():
    images = torch.zeros(2, *ARCHITECTURE.input_shape, device="meta")
    exported = torch.export.export(on_meta(), (images,), strict=False)
    calls = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert calls.count("aten.max_pool2d_with_indices.default") == 2
    assert calls.count("aten.max_unpool2d.default") == 2
    assert not [node for node in exported.graph.nodes if "layer4" in node.name and node.users]


def test_unpooling_lands_where_the_first_maximum_was():
    """A map of equal numbers: the first place of each 2 x 2 window gets the number, as in the original."""
    weights = PlaceWeights(32)
    pooled, places = weights.pool1(torch.ones(1, 1, 4, 6))
    wide = weights.unpool1(pooled, places, output_size=(4, 6))
    assert wide.nonzero()[:, 2:].tolist() == [[0, 0], [0, 2], [0, 4], [2, 0], [2, 2], [2, 4]]


def test_the_attention_becomes_an_equal_graph():
    network = seeded(JointAttention(64, hidden=5))
    captured = capture(network, (64, 14, 9))
    assert_agreement(network, captured, (64, 14, 9), tolerance=1e-11)
    unpool = captured.graph.node("stn.unpool1")
    assert (unpool.op, unpool.inputs, unpool.shape) == (
        "max_unpool",
        ("stn.relu_2", "stn.relu"),
        (1, 4, 12, 7),
    )
    assert captured.graph.node("stn.pool1").shape == (1, 4, 6, 3)


def test_output_is_a_tuple_of_twelve_and_another_size_and_batch_work():
    network = AttentionMGN(num_classes=5, input_size="96x64").eval()
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, 96, 64))
    assert [tuple(t.shape) for t in outputs] == [(1, 2048), *[(1, 256)] * 3, *[(1, 5)] * 8]
    assert torch.equal(outputs[0][:, 512:768], outputs[3])


def test_narrow_images_are_refused():
    with pytest.raises(ValueError, match="MGN with attention takes images at least 64 wide, not 96x32"):
        on_meta(input_size="96x32")
