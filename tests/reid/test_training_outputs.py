"""What the networks give to training is what their forward passes compute, by name."""

import math

import pytest
import torch
from torch.nn.functional import linear, normalize

from mgn_convert.architecture import architectures
from mgn_convert.errors import UsageError
from mgn_reid.models.fastreid import Baseline
from mgn_reid.models.fastreid_mgn import PARTS, FastReidMGN
from mgn_reid.models.lagnet import HEADS, REDUCED, LAGNet
from mgn_reid.models.mgn import MGN, VECTORS
from mgn_reid.models.mgn_attention import AttentionMGN
from mgn_reid.models.mudeep import MuDeep
from mgn_reid.models.resnet import Bottleneck
from mgn_reid.models.trainable import outline, trainable

CLASSES = 3
MGN_NAMES = [*VECTORS, "pooled_g1", "pooled_g2", "pooled_g3"]
PARTS_AND_BOTH = [*PARTS, "b2_parts", "b3_parts"]
FASTREID_NAMES = [f"{part}_{place}" for place in ("before_neck", "after_neck") for part in PARTS_AND_BOTH]
MUDEEP_HEADS = [f"scale{i}{part}" for i in (1, 2, 3) for part in ("", "_1", "_2", "_3")]
NAMES = {
    "fastreid-bagtricks": (["before_neck", "after_neck"], ["head"]),
    "fastreid-mgn": (FASTREID_NAMES, list(PARTS)),
    "fastreid-sbs": (["before_neck", "after_neck"], ["head"]),
    "lagnet": ([*REDUCED, "f_ps", "matrix"], list(HEADS)),
    "mgn": (MGN_NAMES, list(VECTORS)),
    "mgn-attention": (MGN_NAMES, list(VECTORS)),
    "mudeep": (["global1", "global2", "global3"], MUDEEP_HEADS),
}
UNUSED = {
    "lagnet": {"channel_attention", "reduction_4", "reduction_5", "reduction_6"},
    "mgn-attention": {"layer3_1", "layer4"},
}


def on_meta(build, **options):
    with torch.device("meta"):
        return build(num_classes=CLASSES, **options)


def logits(scored):
    return linear(scored.features, scored.weight, scored.bias)


def uncertain(network):
    """The network in eval mode, its normalisations with statistics and gains that no two channels share."""
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.3, 0.6)
    return network.eval().requires_grad_(False)


def assert_all_equal(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_all_networks_are_here():
    assert set(NAMES) == set(architectures())


@pytest.mark.parametrize("name", NAMES)
def test_names_and_widths_and_what_takes_no_part(name):
    network = on_meta(architectures()[name].build)
    outlined = outline(trainable(network))
    vectors, classified = outlined.outputs.vectors, outlined.outputs.classified
    assert (list(vectors), list(classified)) == (list(NAMES[name][0]), NAMES[name][1])
    assert all(vector.ndim == 2 and len(vector) == 2 for vector in vectors.values())
    for scored in classified.values():
        assert scored.weight.shape == (CLASSES, scored.features.shape[1])
    ends = [t for s in classified.values() for t in (s.features, s.weight, s.bias) if t is not None]
    idle = outlined.idle([*vectors.values(), *ends])
    assert {key.partition(".")[0] for key in idle} == UNUSED.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_imagenet_has_a_source_for_all_of_the_resnet(name):
    network = on_meta(architectures()[name].build)
    sources = network.imagenet_sources()
    resnet = {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert {source.partition(".")[0] for source in sources.values()} == resnet
    for module in sources:
        network.get_submodule(module)
    inside = tuple(f"{module}." for module in sources)
    blocks = [name for name, module in network.named_modules() if isinstance(module, Bottleneck)]
    assert [name for name in blocks if not f"{name}.".startswith(inside)] == []


def test_another_network_cannot_be_trained():
    with pytest.raises(UsageError, match="Linear cannot be trained"):
        trainable(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    "network",
    [
        MGN(CLASSES, "avg", "prelu", 16, "96x64", depth=18, width=8),
        MGN(CLASSES, "max", "relu", 16, "96x64", tied=True, trunk="backbone", depth=18, width=8),
        AttentionMGN(CLASSES, input_size="96x64", features=16),
    ],
    ids=["mgn", "tied", "attention"],
)
def test_mgn_gives_its_vectors_before_and_after_reduction(network):
    uncertain(network)
    images = torch.randn(2, 3, 96, 64)
    embedding, *rest = network(images)
    outputs = network.training_outputs(images)
    vectors = outputs.vectors
    assert_all_equal([torch.cat([vectors[name] for name in VECTORS], dim=1)], [embedding])
    assert_all_equal([vectors[name] for name in VECTORS[:3]], rest[:3])
    assert_all_equal([logits(outputs.classified[name]) for name in VECTORS], rest[3:])
    whole = [vectors[f"pooled_{name}"][:, :, None, None] for name in VECTORS[:3]]
    reduced = [reduce(p).flatten(1) for reduce, p in zip(network.reductions()[:3], whole, strict=True)]
    assert_all_equal(reduced, rest[:3])


@pytest.mark.parametrize("options", [{"vintage": "0.1", "pool": "gem"}, {"vintage": "1.2", "features": 64}])
def test_a_baseline_gives_its_vector_before_and_after_the_neck(options):
    network = uncertain(Baseline(CLASSES, **options))
    images = 255 * torch.rand(2, 3, 64, 32)
    outputs = network.training_outputs(images)
    neck = network.heads.bnneck if "pool" in options else network.heads.bottleneck[-1]
    before = outputs.vectors["before_neck"]
    assert_all_equal([outputs.vectors["after_neck"]], [network(images)])
    assert_all_equal([neck(before[:, :, None, None]).flatten(1)], [outputs.vectors["after_neck"]])
    assert outputs.classified["head"].features is outputs.vectors["after_neck"]
    assert outputs.classified["head"].bias is None


@pytest.mark.parametrize("vintage", ["project", "1.2"])
def test_fastreid_mgn_gives_its_vectors_before_and_after_the_necks(vintage):
    network = uncertain(FastReidMGN(CLASSES, vintage, ibn=False))
    images = 255 * torch.rand(2, 3, 96, 32)
    outputs = network.training_outputs(images)
    vectors = outputs.vectors
    after = torch.cat([vectors[f"{part}_after_neck"] for part in PARTS], dim=1)
    assert_all_equal([normalize(after) if vintage == "project" else after], [network(images)])
    for part in PARTS:
        head = getattr(network, f"{part}_head")
        neck = head.bnneck if vintage == "project" else head.bottleneck[-1]
        before, behind = vectors[f"{part}_before_neck"], vectors[f"{part}_after_neck"]
        assert_all_equal([neck(before[:, :, None, None]).flatten(1)], [behind])
        assert outputs.classified[part].features is behind
    for place in ("before_neck", "after_neck"):
        halves = [vectors[f"{part}_{place}"] for part in ("b21", "b22")]
        thirds = [vectors[f"{part}_{place}"] for part in ("b31", "b32", "b33")]
        assert torch.equal(vectors[f"b2_parts_{place}"], torch.cat(halves, dim=1))
        assert torch.equal(vectors[f"b3_parts_{place}"], torch.cat(thirds, dim=1))


def test_mudeep_gives_global_vectors_and_drops_half_of_what_it_classifies():
    network = uncertain(MuDeep(CLASSES, features=32, input_size="96x32"))
    images = torch.randn(2, 3, 96, 32)
    _, *rest = network(images)
    outputs = network.training_outputs(images)
    assert_all_equal(outputs.vectors.values(), rest[:3])
    assert_all_equal([logits(scored) for scored in outputs.classified.values()], rest[3:])

    network.scale1.classifier.train()
    outputs = network.training_outputs(images)
    kept, dropped = outputs.vectors["global1"], outputs.classified["scale1"].features
    assert_all_equal([dropped[dropped != 0]], [2 * kept[dropped != 0]])
    assert 0.2 < (dropped[kept != 0] == 0).float().mean() < 0.8


def test_lagnet_gives_what_its_losses_take():
    network = uncertain(LAGNet(CLASSES))
    images = torch.randn(2, 3, 96, 32)
    _, matrix, *rest = network(images)
    outputs = network.training_outputs(images)
    vectors = outputs.vectors
    assert_all_equal([vectors["matrix"]], [matrix])
    assert_all_equal([vectors[name] for name in (*REDUCED, "f_ps")], rest[:5])
    assert_all_equal([logits(outputs.classified[name]) for name in HEADS], rest[5:])


def test_the_biases_of_necks_are_not_trained():
    for vintage in ("0.1", "1.2"):
        network = on_meta(FastReidMGN, vintage=vintage)
        fixed = [key for key, p in network.named_parameters() if not p.requires_grad]
        neck = "bnneck" if vintage == "0.1" else "bottleneck.1"
        assert fixed == [f"{part}_head.{neck}.bias" for part in PARTS]


def has_deviation(weight, wanted):
    weight = weight.detach()
    return float(weight.std()) == pytest.approx(wanted, rel=0.15) and abs(float(weight.mean())) < wanted / 4


def test_mgn_starts_with_the_published_random_weights():
    torch.manual_seed(0)
    network = MGN(200, features=64, depth=18, width=16, input_size="96x32")
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    network.reset_for_training()
    assert has_deviation(network.backone[0].weight, math.sqrt(2 / (16 * 49)))
    assert has_deviation(network.p1[1][0].conv1.weight, math.sqrt(2 / (128 * 9)))
    assert has_deviation(network.reduction_5[0].weight, math.sqrt(2 / 128))
    norms = [reduction[1] for reduction in network.reductions()]
    assert has_deviation(torch.cat([norm.weight for norm in norms]) - 1, 0.02)
    assert not any(norm.bias.any() for norm in norms)
    assert has_deviation(network.fc_id_256_1_0.weight, math.sqrt(2 / 200))
    assert not network.fc_id_256_1_0.bias.any()
    first, second, third = (p.state_dict() for p in (network.p1, network.p2, network.p3))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(torch.equal(first[key], third[key]) for key in first)


def test_fastreid_starts_with_small_class_weights_whatever_the_vintage():
    for vintage in ("0.1", "1.2"):
        network = Baseline(CLASSES, vintage)
        network.reset_for_training()
        scored = network.heads.around_neck(torch.zeros(2, 2048, 2, 1))[1]
        assert has_deviation(scored.weight, 0.01)
        assert has_deviation(network.backbone.layer4[0].conv2.weight, math.sqrt(2 / (512 * 9)))


@pytest.mark.parametrize("build", [MuDeep, LAGNet, FastReidMGN])
def test_the_large_networks_reset_all_their_convolutions(build):
    network = on_meta(build).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7.0)
    network.reset_for_training()
    left = [key for key, p in network.named_parameters() if p.ndim == 4 and (p == 7).any()]
    assert left == []
