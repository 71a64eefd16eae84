"""The fast-reid family through the PyTorch front end, with few blocks per stage to be quick."""

import numpy as np
import pytest
import torch
from seeded import seeded_weights

from mgn_convert.errors import UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.pytorch import network as loading
from mgn_convert.formats.pytorch.capture import capture
from mgn_reid.models.fastreid import BAGTRICKS, SBS
from mgn_reid.models.fastreid_backbone import BLOCKS
from mgn_reid.models.fastreid_mgn import ARCHITECTURE as FASTREID_MGN
from mgn_reid.models.fastreid_mgn import PARTS

SHAPE = (3, 96, 32)
VARIANTS = {
    "bagtricks": (BAGTRICKS, {}),
    "bagtricks with gates and projection": (BAGTRICKS, {"se": True, "features": 24}),
    "sbs": (SBS, {"ibn": True}),
    "sbs with fixed power": (SBS, {"vintage": "0.1", "pool": "gem"}),
    "mgn": (FASTREID_MGN, {}),
    "mgn 0.1": (FASTREID_MGN, {"vintage": "0.1"}),
    "mgn project": (FASTREID_MGN, {"vintage": "project", "ibn": False, "num_classes": 4}),
}


@pytest.fixture(autouse=True, scope="module")
def shallow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BLOCKS, 50, (1, 2, 3, 1))
        patch.setattr(loading, "architecture", {k.name: k for k in (SBS, FASTREID_MGN)}.__getitem__)
        yield


def built(known, **options):
    """A network with its seeded weights, in float64."""
    defaults = {key: option.default for key, option in known.options.items()}
    network = known.build(**{**defaults, **options})
    shapes = {k: tuple(t.shape) for k, t in network.state_dict().items()}
    kept = {k: t for k, t in network.state_dict().items() if k.startswith("pixel_") or k.endswith(".p")}
    network.load_state_dict({**seeded_weights(shapes), **kept}, assign=True)
    return network.double().eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_network_becomes_an_equal_graph(name):
    known, options = VARIANTS[name]
    network = built(known, **options)
    graph = capture(network, SHAPE).graph
    images = np.random.default_rng(0).integers(0, 256, (1, *SHAPE)).astype(np.float64)
    with torch.no_grad():
        wanted = network(torch.from_numpy(images)).numpy()
    found = graph.run({"x": images})[graph.outputs[0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11 * abs(wanted).max())
    if name == "mgn project":
        np.testing.assert_allclose(np.linalg.norm(wanted, axis=1), 1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, shallow):
    """A checkpoint as training writes it, of SBS 0.1; its constant is its own."""
    network = built(SBS, ibn=True, vintage="0.1", num_classes=6).float()
    network.pixel_mean += 1
    path = tmp_path_factory.mktemp("fastreid") / "sbs.pth"
    torch.save({"model": network.state_dict(), "iteration": 5}, path)
    return path


def test_a_checkpoint_loads_by_its_own_names(checkpoint):
    loaded = loading.load(Source(checkpoint, architecture="fastreid-sbs", input_shape=SHAPE))
    assert loaded.keys.missing == ()
    assert {"pixel_mean", "heads.bnneck.weight", "heads.pool_layer.p"} <= set(loaded.keys.used)
    assert loaded.keys.ignored["heads.classifier.weight"] == "no output that is kept needs it"
    assert loaded.module.pixel_mean[0, 0, 0, 0] == torch.tensor(123.675) + 1
    assert (loaded.module.backbone.maxpool.ceil_mode, loaded.preprocessing.scale) == (False, 1)


def test_the_stem_may_be_chosen_against_the_names(checkpoint):
    source = Source(checkpoint, architecture="fastreid-sbs", options={"stem": "ceil"}, input_shape=SHAPE)
    assert loading.load(source).module.backbone.maxpool.ceil_mode


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("vintage", "1.2", "0.1"),
        ("ibn", "False", "True"),
        ("se", "True", "False"),
        ("non_local", "False", "True"),
        ("pool", "gem", "gemp"),
        ("depth", "101", "50"),
    ],
)
def test_an_option_that_the_keys_contradict_is_refused(checkpoint, option, value, told):
    source = Source(checkpoint, architecture="fastreid-sbs", options={option: value}, input_shape=SHAPE)
    with pytest.raises(UsageError, match=f"its keys tell {option}={told}"):
        loading.load(source)


def test_eight_parts_of_mgn_share_one_power(tmp_path):
    network = built(FASTREID_MGN, vintage="0.1", ibn=False).float()
    powers = {f"{part}_pool.0.p": torch.tensor([2.5]) for part in PARTS}
    torch.save({"model": {**network.state_dict(), **powers}}, tmp_path / "mgn.pth")
    loaded = loading.load(Source(tmp_path / "mgn.pth", architecture="fastreid-mgn", input_shape=SHAPE))
    assert loaded.keys.missing == ()
    assert {getattr(loaded.module, f"{part}_pool")[0].p.item() for part in PARTS} == {2.5}
    rises = [n.attrs["power"] for n in loaded.captured.graph if n.op == "power" and n.attrs["power"] > 1]
    assert rises == [2.5] * 8
