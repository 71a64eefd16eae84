"""Starts from ImageNet's weights and from checkpoints of the same network."""

import pytest
import torch

from mgn_convert.errors import FileFormatError
from mgn_reid.models.fastreid import Baseline
from mgn_reid.models.lagnet import LAGNet
from mgn_reid.models.mgn import HEADS, MGN
from mgn_reid.models.mudeep import MuDeep
from mgn_reid.models.pretrained import load_imagenet, load_weights
from mgn_reid.models.resnet import resnet18, resnet50

SMALL = {"features": 16, "input_size": "96x32", "depth": 18, "width": 8}


@pytest.fixture(scope="module")
def resnet():
    """A ResNet-50 whose tensors are small whole numbers, each tensor another one."""
    with torch.device("meta"):
        network = resnet50()
    state = {
        key: torch.full(tensor.shape, float(k))
        for k, (key, tensor) in enumerate(network.state_dict().items())
    }
    return {key: tensor.long() if "tracked" in key else tensor for key, tensor in state.items()}


@pytest.fixture
def file(tmp_path, resnet):
    torch.save(resnet, tmp_path / "resnet50.pth")
    return tmp_path / "resnet50.pth"


def small_mgn(classes=3, **options):
    network = MGN(classes, **{**SMALL, **options})
    network.reset_for_training()
    return network


def numbers(network):
    """Key -> the first number of each tensor of a network."""
    return {key: tensor.flatten()[0].item() for key, tensor in network.state_dict().items()}


def empty(build, **options):
    """The network with -1 everywhere."""
    with torch.device("meta"):
        network = build(**options)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.fill_(-1)
    return network


def test_imagenet_goes_into_every_branch_of_mgn(tmp_path):
    torch.manual_seed(0)
    resnet = resnet18(1000, width=8)
    given = resnet.state_dict()
    torch.save(given, tmp_path / "resnet18.pth")
    network = small_mgn()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    start = load_imagenet(network, tmp_path / "resnet18.pth")
    own = network.state_dict()
    assert torch.equal(own["backone.0.weight"], given["conv1.weight"])
    assert torch.equal(own["backone.1.running_var"], given["bn1.running_var"])
    assert torch.equal(own["backone.5.1.conv2.weight"], given["layer2.1.conv2.weight"])
    assert torch.equal(own["backone.6.conv1.weight"], given["layer3.0.conv1.weight"])
    for branch in ("p1", "p2", "p3"):
        assert torch.equal(own[f"{branch}.0.0.conv1.weight"], given["layer3.1.conv1.weight"])
        assert torch.equal(own[f"{branch}.1.1.bn2.weight"], given["layer4.1.bn2.weight"])
    rest = ("reduction_", "fc_")
    assert all(torch.equal(own[key], before[key]) for key in own if key.startswith(rest))
    assert start.loaded == len([key for key in own if not key.startswith(rest)])
    names = [*(f"reduction_{k}" for k in range(8)), *HEADS]
    assert start.random == tuple(names)
    assert str(start) == f"{start.loaded} tensors from {tmp_path}/resnet18.pth; random: {', '.join(names)}"


def test_the_scales_of_mudeep_start_from_as_many_blocks(file, resnet):
    network = empty(MuDeep, num_classes=3, features=16)
    start = load_imagenet(network, file)
    own = numbers(network)
    for block in ("layer4_1", "layer4_2.0", "layer4_3.0"):
        assert own[f"{block}.conv1.weight"] == resnet["layer4.0.conv1.weight"].flatten()[0]
    for block in ("layer4_2.1", "layer4_3.1"):
        assert own[f"{block}.bn3.bias"] == resnet["layer4.1.bn3.bias"].flatten()[0]
    assert own["layer4_3.2.conv2.weight"] == resnet["layer4.2.conv2.weight"].flatten()[0]
    assert start.random[:4] == ("gamma1", "gamma2", "gamma3", "conv_all")
    left = {key.partition(".")[0] for key, number in own.items() if number == -1 and "tracked" not in key}
    assert left == set(start.random)


def test_the_streams_of_lagnet_start_from_one_resnet(file, resnet):
    network = empty(LAGNet, num_classes=3, features=16)
    start = load_imagenet(network, file)
    own = numbers(network)
    for stream in ("global_stream", "part_stream", "la_stream"):
        assert own[f"{stream}.0.4.conv3.weight"] == resnet["layer3.5.conv3.weight"].flatten()[0]
        assert own[f"{stream}.1.0.downsample.0.weight"] == resnet["layer4.0.downsample.0.weight"].flatten()[0]
    assert {"attentions", "channel_attention", "classifier_d"} < set(start.random)


def test_normalisations_with_ibn_stay_random_beside_a_plain_resnet(file, resnet):
    network = empty(Baseline, num_classes=3, ibn=True, se=True, non_local=True)
    start = load_imagenet(network, file)
    own = numbers(network)
    assert own["backbone.layer1.0.conv1.weight"] == resnet["layer1.0.conv1.weight"].flatten()[0]
    assert own["backbone.layer4.0.bn1.weight"] == resnet["layer4.0.bn1.weight"].flatten()[0]
    assert own["backbone.layer1.0.bn1.IN.weight"] == own["backbone.layer1.0.bn1.BN.weight"] == -1
    norms = {f"backbone.layer{n}.0.bn1.{half}" for n in (1, 2, 3) for half in ("IN", "BN")}
    assert norms <= set(start.random)
    assert {"backbone", "heads", "backbone.layer4.0.se.fc.0"} <= set(start.random)
    assert "backbone.layer4.0.bn1" not in start.random


def test_a_resnet_with_ibn_fits_a_network_with_ibn(tmp_path):
    donor = empty(Baseline, num_classes=3, ibn=True)
    with torch.no_grad():
        donor.backbone.layer2[1].bn1.IN.weight.fill_(5)
    given = {
        k.removeprefix("backbone."): v for k, v in donor.state_dict().items() if k.startswith("backbone.")
    }
    torch.save({"state_dict": {f"module.{k}": v for k, v in given.items()}}, tmp_path / "ibn.pth")
    network = empty(Baseline, num_classes=3, ibn=True)
    start = load_imagenet(network, tmp_path / "ibn.pth")
    assert network.backbone.layer2[1].bn1.IN.weight.eq(5).all()
    assert start.random == ("heads",)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: resnet18(10, width=16), r"of another shape: bn1\.bias is \[16\], wanted \[8\]"),
        (lambda: resnet50(10, width=8), "unexpected: layer1.0.bn3.bias"),
    ],
)
def test_a_resnet_of_another_width_or_depth_is_refused(tmp_path, other, message):
    torch.save(other().state_dict(), tmp_path / "other.pth")
    network = small_mgn()
    before = numbers(network)
    with pytest.raises(FileFormatError, match=message) as error:
        load_imagenet(network, tmp_path / "other.pth")
    assert "try      torchvision's weights for a ResNet of the network's depth and width" in str(error.value)
    assert numbers(network) == before


def test_a_shallow_resnet_lacks_what_a_deep_network_needs(tmp_path):
    with torch.device("meta"):
        network = MGN(3, input_size="96x32", width=8)
    torch.save(resnet18(10, width=8).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(FileFormatError, match=r"missing: layer1\.0\.bn3\.bias"):
        load_imagenet(network, tmp_path / "resnet18.pth")


def test_a_checkpoint_without_counters_fits(tmp_path):
    given = {k: v for k, v in resnet18(10, width=8).state_dict().items() if "tracked" not in k}
    torch.save(given, tmp_path / "old.pth")
    assert len(load_imagenet(small_mgn(), tmp_path / "old.pth").random) == 16


def test_fine_tuning_starts_from_all_weights_of_a_checkpoint(tmp_path):
    given = small_mgn().state_dict()
    torch.save({"epoch": 3, "state_dict": given, "criteria": {}}, tmp_path / "last.pth")
    network = small_mgn()
    start = load_weights(network, tmp_path / "last.pth", 3)
    assert all(torch.equal(value, given[key]) for key, value in network.state_dict().items())
    assert (start.loaded, start.random, start.note) == (len(given), (), "")


def test_heads_for_other_identities_stay_random(tmp_path):
    given = small_mgn(5).state_dict()
    torch.save(given, tmp_path / "other.pth")
    network = small_mgn(3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    start = load_weights(network, tmp_path / "other.pth", 3)
    biases_and_weights = {f"{head}.{leaf}" for head in HEADS for leaf in ("weight", "bias")}
    for key, value in network.state_dict().items():
        assert torch.equal(value, (before if key in biases_and_weights else given)[key]), key
    assert start.random == HEADS
    assert str(start).endswith("; its heads are for 5 identities, these data have 3")


def test_heads_that_a_checkpoint_lacks_stay_random(tmp_path):
    given = {k: v for k, v in small_mgn().state_dict().items() if not k.startswith("fc_")}
    torch.save(given, tmp_path / "headless.pth")
    start = load_weights(small_mgn(), tmp_path / "headless.pth", 3)
    assert (start.random, start.note) == (HEADS, "")


def test_class_weights_without_a_module_of_their_own_are_heads_too(tmp_path):
    torch.save(empty(Baseline, num_classes=5).state_dict(), tmp_path / "other.pth")
    network = Baseline(3)
    network.heads.weight.requires_grad_(True)
    start = load_weights(network, tmp_path / "other.pth", 3)
    assert start.random == ("heads",)
    assert not network.heads.weight.eq(-1).any()
    assert network.heads.bottleneck[0].weight.eq(-1).all()


def test_the_published_lagnet_may_hold_a_resnet_that_is_not_used(tmp_path):
    with torch.device("meta"):
        network = LAGNet(num_classes=3)
    network.to_empty(device="cpu")
    given = {key: torch.zeros((), dtype=t.dtype).expand(t.shape) for key, t in network.state_dict().items()}
    torch.save({**given, "test.fc.weight": torch.zeros(2, 2)}, tmp_path / "lagnet.pth")
    assert load_weights(network, tmp_path / "lagnet.pth", 3).loaded == len(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 8}, r"fc_id_256_1_0\.weight is \[3, 8\], wanted \[3, 16\]"),
        ({"activation": "prelu"}, r"8 unexpected: reduction_0\.2\.weight"),
        ({"tied": True}, r"missing: reduction_0\.0\.weight"),
    ],
)
def test_any_other_difference_is_refused(tmp_path, options, message):
    torch.save(small_mgn(**options).state_dict(), tmp_path / "other.pth")
    network = small_mgn()
    before = numbers(network)
    with pytest.raises(FileFormatError, match=message):
        load_weights(network, tmp_path / "other.pth", 3)
    assert numbers(network) == before


@pytest.mark.parametrize("load", [load_imagenet, lambda network, path: load_weights(network, path, 3)])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, load):
    (tmp_path / "page.pth").write_text("<html>")
    with pytest.raises(FileFormatError, match="is not a PyTorch checkpoint"):
        load(small_mgn(), tmp_path / "page.pth")
    with pytest.raises(FileFormatError, match="does not exist"):
        load(small_mgn(), tmp_path / "none.pth")
