"""The fast-reid family against the keys of its releases and golden embeddings of the original networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seeded_images, seeded_weights

from mgn_reid.models.fastreid import BAGTRICKS, SBS, Baseline
from mgn_reid.models.fastreid_backbone import PIXEL_MEAN, PIXEL_STD
from mgn_reid.models.fastreid_mgn import ARCHITECTURE as FASTREID_MGN
from mgn_reid.models.fastreid_mgn import FastReidMGN

GOLDEN = Path(__file__).parents[1] / "golden" / "seed"
ARCHITECTURES = {"bagtricks": BAGTRICKS, "sbs": SBS, "mgn": FASTREID_MGN}
BASE = {"num_classes": 751, "ibn": False, "se": False}
BASELINE = {**BASE, "depth": 50, "non_local": False}
OLD, NEW = {"vintage": "0.1", "pixel_keys": True}, {"vintage": "1.2", "pixel_keys": False}
TOLD = {
    "fastreid_011_bagtricks_R50": {**BASELINE, **OLD},
    "fastreid_011_sbs_R50-ibn": {**BASELINE, **OLD, "ibn": True, "non_local": True, "pool": "gemp"},
    "fastreid_011_mgn_R50-ibn": {**BASE, **OLD, "ibn": True, "pool": "gemp", "features": 256},
    "fastreid_master_bagtricks_R50": {**BASELINE, **NEW},
    "fastreid_master_bagtricks_R50-ibn": {**BASELINE, **NEW, "ibn": True},
    "fastreid_master_sbs_R50": {**BASELINE, **NEW, "non_local": True, "pool": "gemp"},
    "fastreid_master_sbs_R50-ibn": {**BASELINE, **NEW, "ibn": True, "non_local": True, "pool": "gemp"},
    "fastreid_master_mgn_R50-ibn": {**BASE, **NEW, "ibn": True, "pool": "gemp", "features": 256},
}


def recorded(name):
    return {key: tuple(shape) for key, shape in json.loads((GOLDEN / f"{name}.json").read_text()).items()}


def architecture_of(name):
    return ARCHITECTURES[name.split("_")[2]]


def on_meta(build, **options):
    with torch.device("meta"):
        return build(**options)


def shapes_of(network):
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@pytest.mark.parametrize("name", TOLD)
def test_a_checkpoint_tells_its_options_and_has_the_keys_of_the_network(name):
    known, shapes = architecture_of(name), recorded(name)
    told = known.infer(shapes)
    assert told == TOLD[name]
    defaults = {key: option.default for key, option in known.options.items()}
    assert shapes_of(on_meta(known.build, **{**defaults, **told})) == shapes


@pytest.mark.parametrize(
    "name", ["fastreid_011_mgn_R50-ibn", "fastreid_master_bagtricks_R50", "fastreid_master_sbs_R50"]
)
def test_embeddings_are_those_of_the_original(name):
    known, shapes = architecture_of(name), recorded(name)
    network = on_meta(known.build, **known.infer(shapes))
    weights = seeded_weights(shapes)
    weights |= {key: torch.full((1,), 3.2, dtype=torch.float64) for key in shapes if key.endswith(".p")}
    network.load_state_dict(weights, assign=True)
    # In float32 first, as the original keeps them: 123.675 is then 123.67500305.
    network.pixel_mean = torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1).double()
    network.pixel_std = torch.tensor(PIXEL_STD).view(1, 3, 1, 1).double()
    images = torch.from_numpy(seeded_images(*known.input_shape[1:]).astype(np.float64))
    with torch.no_grad():
        raw, flipped = (network.eval()(x).numpy() for x in (images, images.flip(3)))
    total = raw + flipped
    found = {"raw": raw, "raw_flip": flipped}
    found["embedding"] = total / np.linalg.norm(total, axis=1, keepdims=True)
    golden = np.load(GOLDEN / f"{name}.npz")
    for key, value in found.items():
        scale = abs(golden[key]).max()
        np.testing.assert_allclose(value, golden[key], rtol=1e-9, atol=1e-12 * scale, err_msg=key)


@pytest.mark.parametrize(
    ("build", "vintage", "stem", "ceil"),
    [
        (Baseline, "0.1", "auto", False),
        (Baseline, "1.0", "auto", True),
        (Baseline, "1.2", "auto", True),
        (Baseline, "0.1", "ceil", True),
        (Baseline, "1.2", "pad", False),
        (FastReidMGN, "project", "auto", False),
        (FastReidMGN, "0.1", "auto", False),
        (FastReidMGN, "1.0", "auto", True),
    ],
)
def test_the_stem_follows_the_vintage_unless_it_is_chosen(build, vintage, stem, ceil):
    backbone = on_meta(build, vintage=vintage, stem=stem).backbone
    pool = backbone.maxpool if build is Baseline else backbone[3]
    assert (pool.ceil_mode, pool.padding) == ((True, 0) if ceil else (False, 1))


@pytest.mark.parametrize(
    ("known", "options"),
    [
        (BAGTRICKS, {"vintage": "1.0", "num_classes": 702}),
        (BAGTRICKS, {"features": 512}),
        (BAGTRICKS, {"se": True, "vintage": "0.1", "pixel_keys": False}),
        (SBS, {"depth": 101, "non_local": True, "pool": "gemp"}),
        (FASTREID_MGN, {"vintage": "project", "ibn": False, "num_classes": 5}),
        (FASTREID_MGN, {"vintage": "1.0", "pool": "max", "features": 128}),
    ],
)
def test_infer_finds_the_options_that_a_network_was_built_with(known, options):
    shapes = shapes_of(on_meta(known.build, **options))
    told = known.infer(shapes)
    assert told.items() >= {k: v for k, v in options.items() if (k, v) != ("pool", "max")}.items()
    assert shapes_of(on_meta(known.build, **{**options, **told})) == shapes


def test_infer_without_keys_tells_nothing():
    assert all(known.infer({}) == {} for known in ARCHITECTURES.values())


def test_without_classes_the_release_is_left_open():
    shapes = {k: s for k, s in recorded("fastreid_master_sbs_R50").items() if k != "heads.weight"}
    assert not SBS.infer(shapes).keys() & {"vintage", "num_classes"}


def test_the_leftover_counter_of_the_vehicle_files_does_not_make_them_old():
    shapes = {**recorded("fastreid_master_sbs_R50"), "heads.bnneck.num_batches_tracked": ()}
    assert SBS.infer(shapes) == TOLD["fastreid_master_sbs_R50"]


def test_the_project_has_no_keys_for_pixels():
    assert len(shapes_of(on_meta(FastReidMGN, vintage="project", ibn=False))) == 714


def test_an_old_head_has_no_projection():
    with pytest.raises(ValueError, match=r"vintage 0\.1 has no projection in its head"):
        on_meta(Baseline, vintage="0.1", features=512)
