"""MGN against the keys of published checkpoints and golden embeddings of the original network."""

import json

import pytest
import torch
from seeded import GOLDEN, assert_golden, normalised, seeded, seeded_images

import mgn_convert
from mgn_convert.formats import Source
from mgn_reid.models.mgn import ARCHITECTURE, HEADS, MGN
from mgn_reid.models.resnet import resnet18, resnet50

VARIANTS = {
    "mgn_seathiefwang_relu_max": {"pool": "max"},
    "mgn_seathiefwang_relu_avg": {"pool": "avg"},
    "mgn_lwplw_prelu_avg": {"pool": "avg", "activation": "prelu"},
}


SMALL = {"depth": 18, "width": 16, "features": 32}


def on_meta(**options):
    with torch.device("meta"):
        return MGN(**options)


def shapes_of(network):
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_keys_are_those_of_the_checkpoints(name):
    recorded = json.loads((GOLDEN / f"{name}.json").read_text())
    assert shapes_of(on_meta(**VARIANTS[name])) == {key: tuple(shape) for key, shape in recorded.items()}


@pytest.mark.parametrize("name", ["mgn_seathiefwang_relu_max", "mgn_lwplw_prelu_avg"])
def test_embeddings_are_those_of_the_original(name):
    network = seeded(on_meta(**VARIANTS[name]))
    assert_golden(network, name, normalised(seeded_images(384, 128)))


FULL = {"features": 256, "activation": "relu", "tied": False, "depth": 50, "width": 64}


def test_infer_reads_the_options_from_the_shapes():
    shapes = shapes_of(on_meta(num_classes=702, activation="prelu", features=128))
    assert ARCHITECTURE.infer(shapes) == {
        **FULL,
        "features": 128,
        "activation": "prelu",
        "num_classes": 702,
    }


def test_infer_does_without_heads():
    shapes = {k: s for k, s in shapes_of(on_meta()).items() if not k.startswith("fc_")}
    assert ARCHITECTURE.infer(shapes) == FULL
    assert ARCHITECTURE.infer({}) == {}


@pytest.mark.parametrize("options", [SMALL, {"depth": 50, "width": 8, "features": 16, "trunk": "backbone"}])
def test_infer_finds_depth_and_width(options):
    shapes = shapes_of(on_meta(**options))
    told = ARCHITECTURE.infer(shapes)
    assert told.items() >= options.items()
    assert shapes_of(on_meta(**told)) == shapes


@pytest.mark.parametrize("size", ["96x32", "192x64"])
@pytest.mark.parametrize("pool", ["max", "avg"])
def test_a_small_network_has_the_vectors_of_a_large_one(pool, size):
    network = MGN(num_classes=5, pool=pool, input_size=size, **SMALL).eval()
    height, width = map(int, size.split("x"))
    with torch.no_grad():
        outputs = network(torch.randn(2, 3, height, width))
        shared = network.shared_map(torch.zeros(1, 3, height, width))
        whole, half = network.p1(shared), network.p2(shared)
    assert [tuple(t.shape) for t in outputs] == [(2, 256), *[(2, 32)] * 3, *[(2, 5)] * 8]
    assert whole.shape == (1, 128, height // 32, width // 32)
    assert half.shape == (1, 128, height // 16, width // 16)
    assert sum(p.numel() for p in network.parameters()) < 2_000_000


@pytest.mark.parametrize("pool", ["max", "avg"])
def test_a_small_network_is_exact_in_caffe_and_darknet(tmp_path, pool):
    """From the checkpoint alone: it tells depth, width and features."""
    network = seeded(on_meta(pool=pool, input_size="96x32", num_classes=3, **SMALL)).float()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    options = {"pool": pool, "input_size": "96x32"}
    source = Source(tmp_path / "net.pth", architecture="mgn", options=options, input_shape=(3, 96, 32))
    files = [tmp_path / "net.prototxt", tmp_path / "net.cfg"]
    for kind in ("caffe", "darknet"):
        mgn_convert.convert(source, kind, tmp_path, verify=False)
    report = mgn_convert.verify(source, *files, exact=True)
    assert report.passed, [row for c in report.candidates for row in c.inputs if not row.exact]


def test_relatives_with_one_reduction_are_the_same_network():
    """Keys `backbone.*` and `reduction.*`: MGN whose eight reductions hold the same numbers."""
    torch.manual_seed(3)
    tied = MGN(num_classes=2, tied=True, trunk="backbone", input_size="96x32").eval()
    shapes = shapes_of(tied)
    assert {k.partition(".")[0] for k in shapes} == {"backbone", "p1", "p2", "p3", "reduction", *HEADS}
    assert ARCHITECTURE.infer(shapes) == {**FULL, "tied": True, "trunk": "backbone", "num_classes": 2}
    plain = MGN(num_classes=2, input_size="96x32").eval()
    weights = {}
    for key in plain.state_dict():
        part, _, rest = key.partition(".")
        names = {"backone": "backbone", **{f"reduction_{k}": "reduction" for k in range(8)}}
        weights[key] = tied.state_dict()[f"{names.get(part, part)}.{rest}"]
    plain.load_state_dict(weights)
    images = torch.randn(2, 3, 96, 32)
    with torch.no_grad():
        pairs = list(zip(tied(images), plain(images), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    tied.reset_for_training()
    assert not tied.reduction[1].bias.any()


def test_output_is_a_tuple_of_twelve_and_another_size_works():
    network = MGN(num_classes=5, input_size="96x64").eval()
    with torch.no_grad():
        outputs = network(torch.randn(2, 3, 96, 64))
    assert [tuple(t.shape) for t in outputs] == [(2, 2048), *[(2, 256)] * 3, *[(2, 5)] * 8]
    assert torch.equal(outputs[0][:, :256], outputs[1])


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("380x128", "MGN takes heights that are multiples of 96 and widths of 32, not 380x128"),
        ("big", "input_size is HxW such as 384x128, not 'big'"),
    ],
)
def test_a_size_that_does_not_divide_is_refused(size, message):
    with pytest.raises(ValueError, match=message):
        on_meta(input_size=size)


def test_branches_start_equal_but_apart():
    network = MGN(num_classes=2)
    first, second = network.p1[1][0].conv2, network.p2[1][0].conv2
    assert torch.equal(first.weight, second.weight)
    assert first.weight is not second.weight
    assert (first.stride, second.stride) == ((2, 2), (1, 1))


def test_resnet_has_the_known_sizes():
    with torch.device("meta"):
        counts = [sum(p.numel() for p in make().parameters()) for make in (resnet18, resnet50)]
    assert counts == [11689512, 25557032]
    assert resnet18(7).eval()(torch.zeros(1, 3, 64, 32)).shape == (1, 7)
    assert resnet18(7, width=8).eval()(torch.zeros(1, 3, 64, 32)).shape == (1, 7)
    assert resnet18(7, width=8).layer4[1].conv2.weight.shape == (64, 64, 3, 3)
