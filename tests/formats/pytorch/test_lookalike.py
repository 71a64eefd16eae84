"""lookalike.py: a checkpoint of one family given as another names the family that it looks like."""

import json

import pytest
import torch
from seeded import GOLDEN

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.pytorch import FORMAT
from mgn_convert.formats.pytorch.lookalike import lookalike

FAMILIES = {
    "fastreid_011_mgn_R50-ibn": "fastreid-mgn",
    "fastreid_master_bagtricks_R50": "fastreid-bagtricks",
    "fastreid_master_sbs_R50": "fastreid-sbs",
    "lagnet": "lagnet",
    "mgn_lwplw_attention_avg": "mgn-attention",
    "mgn_lwplw_prelu_avg": "mgn",
    "mudeep_v2_384x128": "mudeep",
}


def weights_of(name):
    """Zeros under the published keys, without memory."""
    shapes = json.loads((GOLDEN / f"{name}.json").read_text())
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def problem(tmp_path, weights, kind, **fields):
    torch.save(weights, tmp_path / "m.pth")
    with pytest.raises(kind) as caught:
        FORMAT.read(Source(tmp_path / "m.pth", **fields))
    return str(caught.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_published_keys_are_known(name):
    weights = {f"module.{key}": tensor for key, tensor in weights_of(name).items()}
    assert lookalike(weights) == FAMILIES[name]
    assert lookalike(weights, given=FAMILIES[name]) == ""


def test_a_network_with_other_heads_is_known_still():
    weights = weights_of("mgn_seathiefwang_relu_max")
    headless = {key: tensor for key, tensor in weights.items() if not key.startswith("fc_")}
    assert lookalike(headless) == "mgn"


def test_other_networks_look_like_none():
    assert lookalike({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(1000)}) == ""
    assert lookalike({}) == ""


@pytest.mark.parametrize("given", ["mgn", "lagnet"])
def test_the_message_names_the_family(tmp_path, given):
    text = problem(tmp_path, weights_of("mudeep_v2_384x128"), FileFormatError, architecture=given)
    assert "\n  because  these look like the keys of --arch mudeep\n" in text
    assert text.endswith("\n  try      --arch mudeep")


def test_a_checkpoint_without_arch_is_told_which(tmp_path):
    text = problem(tmp_path, weights_of("mudeep_v2_384x128"), UsageError)
    assert "\n  because  these look like the keys of --arch mudeep\n  try      --arch with one of" in text


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "mgn_seathiefwang_relu_max",
            (3, 100, 128),
            "heights that are multiples of 96 and widths of 32, not 100x128",
        ),
        ("mgn_lwplw_attention_avg", (3, 96, 32), "images at least 64 wide, not 96x32"),
        (
            "mudeep_v2_384x128",
            (3, 384, 100),
            "heights that are multiples of 48 and widths of 16, not 384x100",
        ),
    ],
)
def test_sizes_that_a_family_cannot_take(tmp_path, name, shape, message):
    weights = weights_of(name)
    text = problem(tmp_path, weights, UsageError, architecture=lookalike(weights), input_shape=shape)
    assert message in text


@pytest.mark.parametrize("option", ["tied", "activation"])
def test_options_of_mgn_that_the_keys_contradict(tmp_path, option):
    told = {"tied": "False", "activation": "relu"}
    wrong = {"tied": "True", "activation": "prelu"}
    weights = weights_of("mgn_seathiefwang_relu_max")
    text = problem(tmp_path, weights, UsageError, architecture="mgn", options={option: wrong[option]})
    assert f"because  its keys tell {option}={told[option]}" in text
