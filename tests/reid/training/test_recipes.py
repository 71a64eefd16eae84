"""Every shipped recipe takes two steps and scores what came out, on small pictures, from random weights."""

import pytest
import torch

from mgn_convert.architecture import architecture
from mgn_reid.training import checkpoint
from mgn_reid.training.config import RECIPES, load_config, recipes
from mgn_reid.training.trainer import train

NARROW = {"depth": 18, "width": 8, "features": 16}
"""Options that make a network small, where it has them."""


def small(name, people):
    """The recipe with two people of two pictures a batch, at the smallest size that every network takes.

    Rates are tiny: what is meant for trained weights would diverge from random ones.
    """
    config = load_config(name)
    rates = [f"optimiser.groups.{i}.rate=1e-7" for i in range(len(config.optimiser.groups))]
    options = architecture(config.network.name).options
    narrow = [
        f"network.options.{key}={value}"
        for key, value in NARROW.items()
        if key in options and value in (options[key].choices or (value,))
    ]
    return load_config(
        name,
        [
            f"data.folder={people}",
            "data.size=96x64",
            "data.identities=2",
            "data.pictures=2",
            "data.workers=0",
            "optimiser.rate=1e-7",
            *rates,
            *narrow,
            "epochs=null",
            "iterations=2",
            "device=cpu",
        ],
    )


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_trains_and_evaluates(name, people, tmp_path, monkeypatch):
    saved = {}
    monkeypatch.setattr(checkpoint, "save", lambda content, path: saved.update({path.name: content}))
    config = small(name, people)
    outcome = train(config, tmp_path / "out")
    assert outcome.signal is None
    assert set(outcome.scores) == {"epoch", "iteration", "rank-1", "rank-5", "rank-10", "mAP", "mINP"}
    assert 0 < outcome.scores["mAP"] <= 1
    content = saved["last.pth"]
    assert saved.keys() >= {"last.pth", "best.pth"}
    assert content.keys() == checkpoint.KEYS
    assert content["iteration"] == 2
    assert content["architecture"]["name"] == config.network.name
    assert content["architecture"]["preprocessing"]["height"] == 96
    assert content["optimiser"]["state"]
    assert all(torch.isfinite(tensor).all() for tensor in content["state_dict"].values())


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_first_says_which_training_it_is_and_what_differs(name):
    text = (RECIPES / f"{name}.yaml").read_text()
    comment = [line for line in text[: text.index("network:")].splitlines() if line]
    assert comment
    assert all(line.startswith("#") for line in comment)
    assert "What differs:" in text or "follows no published training" in text


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_has_the_size_and_the_options_of_its_network(name):
    config = load_config(name)
    known = architecture(config.network.name)
    assert config.network.options.keys() <= known.options.keys()
    if name != "mgn-small":
        shape = f"{known.input_shape[1]}x{known.input_shape[2]}"
        assert config.data.size == shape
