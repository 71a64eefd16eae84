"""MuDeep against the keys of a published checkpoint and golden embeddings of the original network."""

import json

import numpy as np
import pytest
import torch
from agreement import assert_agreement
from seeded import GOLDEN, assert_golden, normalised, seeded, seeded_images

from mgn_convert.formats.pytorch.capture import capture
from mgn_reid.models.mudeep import ARCHITECTURE, LeaderAttention, MuDeep


def on_meta(**options):
    with torch.device("meta"):
        return MuDeep(**options).eval()


def shapes_of(network):
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@pytest.mark.parametrize("input_size", ["384x192", "384x128"])
def test_keys_are_those_of_the_checkpoints_of_either_size(input_size):
    recorded = json.loads((GOLDEN / "mudeep_v2_384x128.json").read_text())
    assert shapes_of(on_meta(input_size=input_size)) == {k: tuple(shape) for k, shape in recorded.items()}


def test_infer_reads_the_options_from_the_shapes():
    shapes = shapes_of(on_meta(num_classes=702, features=256))
    assert ARCHITECTURE.infer(shapes) == {"features": 256, "num_classes": 702}
    headless = {k: s for k, s in shapes.items() if ".classifier." not in k}
    assert ARCHITECTURE.infer(headless) == {"features": 256}


def test_embeddings_are_those_of_the_original():
    network = seeded(on_meta(input_size="384x128"))
    assert_golden(network, "mudeep_v2_384x128", normalised(seeded_images(384, 128)))


def test_export_has_the_products_and_softmaxes():
    images = torch.zeros(2, *ARCHITECTURE.input_shape, device="meta")
    exported = torch.export.export(on_meta(), (images,), strict=False)
    calls = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert calls.count("aten.bmm.default") == 6
    assert calls.count("aten.softmax.int") == 3


def test_attention_rows_are_a_softmax_of_products_of_channels():
    attention = LeaderAttention(leader=5, channels=7).double()
    leader = torch.randn(3, 5, 4, 2, dtype=torch.float64)
    found = attention(leader).detach().numpy()
    one, two = (f.conv1.weight.detach().numpy()[:, :, 0, 0] for f in (attention.feature1, attention.feature2))
    flat = leader.numpy().reshape(3, 5, 8)
    product = np.einsum("cl,nlp,dm,nmp->ncd", one, flat, two, flat)
    wanted = np.exp(product) / np.exp(product).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_the_attention_becomes_an_equal_graph():
    network = seeded(LeaderAttention(leader=5, channels=7))
    captured = capture(network, (5, 4, 3))
    assert_agreement(network, captured, (5, 4, 3), tolerance=1e-11)
    assert [n.op for n in captured.graph][-3:] == ["permute", "matmul", "softmax"]


def test_output_is_a_tuple_of_sixteen_and_another_size_and_batch_work():
    network = MuDeep(num_classes=5, input_size="96x48").eval()
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, 96, 48))
    assert [tuple(t.shape) for t in outputs] == [(1, 6144), *[(1, 512)] * 3, *[(1, 5)] * 12]
    assert torch.equal(outputs[0][:, 2048:2560], outputs[2])


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("380x128", "MuDeep takes heights that are multiples of 48 and widths of 16, not 380x128"),
        ("0x16", "MuDeep takes heights that are multiples of 48 and widths of 16, not 0x16"),
        ("big", "input_size is HxW such as 384x192, not 'big'"),
    ],
)
def test_a_size_that_does_not_divide_is_refused(size, message):
    with pytest.raises(ValueError, match=message):
        on_meta(input_size=size)
