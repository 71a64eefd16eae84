"""network.py and keys.py: from a source to a network, and how keys fit."""

import logging
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import SmallMGN, calibrated, small_mgn
from torch import nn

from mgn_convert.architecture import Architecture, Option
from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.formats import Source, format_of
from mgn_convert.formats.pytorch import FORMAT, network
from mgn_convert.preprocess import Preprocessing

SHAPE = (3, 48, 16)


class Optional(SmallMGN):
    """SmallMGN with a constant that is not in the state_dict, and an activation to choose."""

    def __init__(self, activation="relu", input_size="48x16"):
        super().__init__()
        if input_size != "48x16":
            raise ValueError("only 48x16")
        self.register_buffer("offset", torch.tensor([0.5, 0.25, 0.125]).view(3, 1, 1), persistent=False)
        if activation == "prelu":
            self.reductions[0][2] = nn.PReLU(8)

    def forward(self, x):
        return super().forward(x - self.offset)


def told(shapes):
    return {"activation": "prelu" if "reductions.0.2.weight" in shapes else "relu"}


SMALL = Architecture(
    "small",
    "for tests",
    Optional,
    SHAPE,
    Preprocessing(48, 16),
    options={
        "activation": Option("relu", ("relu", "prelu"), "told by the keys"),
        "input_size": Option("48x16", (), "HxW"),
    },
    infer=told,
    ignored={"aux.": "it belongs to an auxiliary loss"},
    output="0",
)


@pytest.fixture
def state(monkeypatch):
    monkeypatch.setattr(network, "architecture", lambda name: SMALL)
    return dict(calibrated(Optional(), SHAPE).state_dict())


def source_of(tmp_path, content, **fields):
    torch.save(content, tmp_path / "m.pth")
    return Source(tmp_path / "m.pth", **{"architecture": "small", **fields})


def problem(source, kind):
    with pytest.raises(kind) as caught:
        FORMAT.read(source)
    return str(caught.value).replace(str(source.path), "FILE")


def test_read_gives_what_the_network_gives(tmp_path, state):
    graph = FORMAT.read(source_of(tmp_path, {"state_dict": {f"module.{k}": v for k, v in state.items()}}))
    reference = Optional()
    reference.load_state_dict(state)
    images = np.random.default_rng(0).standard_normal((2, *SHAPE))
    with torch.no_grad():
        wanted = reference.double().eval()(torch.from_numpy(images))[0].numpy()
    np.testing.assert_allclose(graph.run({"x": images})["cat"], wanted, rtol=1e-12, atol=1e-12)
    assert (graph.name, graph.outputs) == ("small", ("cat",))


def test_half_precision_is_read_as_float32(tmp_path, state):
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    graph = FORMAT.read(source_of(tmp_path, halves))
    assert graph.node("stem.0").params["weight"].dtype == np.float32


def test_reading_and_running_load_once(tmp_path, state):
    source = source_of(tmp_path, state)
    assert network.load(source) is network.load(source)
    assert network.load(source).captured.graph is FORMAT.read(source)


def test_options_come_from_the_keys(tmp_path, state):
    state["reductions.0.2.weight"] = torch.full((8,), 0.25)
    assert FORMAT.read(source_of(tmp_path, state)).node("reductions.0.2").op == "prelu"
    assert problem(source_of(tmp_path, state, options={"activation": "relu"}), UsageError) == (
        "--arch-option activation=relu contradicts the checkpoint\n"
        "  because  its keys tell activation=prelu\n"
        "  try      no --arch-option activation"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"depth": "3"},
            "the architecture small has no option 'depth'\n  try      one of activation, input_size",
        ),
        ({"activation": "elu"}, "--arch-option activation cannot be 'elu'\n  try      one of relu, prelu"),
        ({"input_size": "96x32"}, "small cannot be built\n  because  ValueError: only 48x16"),
    ],
)
def test_wrong_options(tmp_path, state, options, message):
    assert problem(source_of(tmp_path, state, options=options), UsageError) == message


def test_the_key_report(tmp_path, state, caplog):
    state["aux.weight"] = torch.zeros(3)
    state["spare.num_batches_tracked"] = torch.tensor(1)
    del state["classifier.weight"], state["stem.1.num_batches_tracked"]
    with caplog.at_level(logging.INFO, logger="mgn_convert"):
        loaded = network.load(source_of(tmp_path, state))
    report = loaded.keys
    assert "stem.0.weight" in report.used
    assert report.absent == ("stem.1.num_batches_tracked", "classifier.weight")
    assert report.ignored["aux.weight"] == "it belongs to an auxiliary loss"
    assert report.ignored["spare.num_batches_tracked"] == "it counts training steps"
    assert report.ignored["classifier.bias"] == "no output that is kept needs it"
    assert caplog.messages == [str(report)]
    assert str(report).splitlines()[0] == f"keys: {len(report.used)} used"
    assert "  1 ignored, it belongs to an auxiliary loss: aux.weight" in str(report)
    assert "  2 absent and not needed: stem.1.num_batches_tracked, classifier.weight" in str(report)


def test_keys_that_do_not_fit(tmp_path, state):
    del state["block.conv1.weight"]
    state["other.weight"] = torch.zeros(2)
    state["stem.1.weight"] = torch.zeros(11)
    assert problem(source_of(tmp_path, state), FileFormatError) == (
        "FILE does not fit the network\n"
        "  because  every weight that an output needs is in the checkpoint, and nothing is left over\n"
        "  got      1 missing: block.conv1.weight\n"
        "           1 of another shape: stem.1.weight is [11], wanted [10]\n"
        "           1 unexpected: other.weight\n"
        "  try      another --arch or --arch-option"
    )


def test_a_missing_weight_alone(tmp_path, state):
    del state["block.conv1.weight"]
    assert "got      1 missing: block.conv1.weight\n" in problem(source_of(tmp_path, state), FileFormatError)


def test_a_head_that_is_wanted_must_be_there(tmp_path, state):
    del state["classifier.weight"], state["classifier.bias"]
    text = problem(source_of(tmp_path, state, output="1"), FileFormatError)
    assert "got      2 missing: classifier.weight, classifier.bias\n" in text


def test_many_unexpected_keys_are_counted(tmp_path, state):
    state |= {f"extra.{i}": torch.zeros(1) for i in range(13)}
    text = problem(source_of(tmp_path, state), FileFormatError)
    assert "13 unexpected: extra.0, extra.1, " in text
    assert "extra.9, ... (3 more)" in text


def test_an_image_size_that_a_network_cannot_take(tmp_path, state, monkeypatch):
    del state["stem.1.num_batches_tracked"]
    monkeypatch.setattr(network, "architecture", lambda name: replace(SMALL, options={}))
    text = problem(source_of(tmp_path, state, input_shape=(3, 16, 16)), UsageError)
    line = SmallMGN.forward.__code__.co_firstlineno + 2
    assert text.startswith(f"small cannot take images of 3x16x16\n  at       small_networks.py:{line}\n")
    assert text.endswith("try      --input-shape 3,48,16, the size it was made for")


def test_dead_keys_have_the_reason_of_the_architecture(tmp_path, state, monkeypatch):
    known = replace(SMALL, ignored={"classifier.": "it is for training"})
    monkeypatch.setattr(network, "architecture", lambda name: known)
    report = network.load(source_of(tmp_path, state)).keys
    assert report.ignored["classifier.weight"] == "it is for training"


def test_weights_without_a_network(tmp_path, state):
    text = problem(source_of(tmp_path, state, architecture=None), UsageError)
    assert text.startswith("FILE holds weights, but not the network\n  try      --arch with one of ")
    assert text.endswith(", or --factory package.module:callable")


def test_a_factory_with_weights(tmp_path, state):
    source = source_of(
        tmp_path, state, architecture=None, factory="small_networks:SmallMGN", input_shape=SHAPE
    )
    assert FORMAT.read(source).outputs == ("cat", "classifier")


def test_a_network_for_one_image_is_told(caplog):
    source = Source(None, factory="test_network_one:OneImage", input_shape=(3, 5, 4))
    module = types.ModuleType("test_network_one")
    module.OneImage = OneImage
    sys.modules[module.__name__] = module
    with caplog.at_level(logging.WARNING, logger="mgn_convert"):
        assert FORMAT.read(source).inputs[0].shape == (1, 3, 5, 4)
    assert caplog.messages == [
        "test_network_one:OneImage takes one image at a time; so will what is made from it"
    ]


class OneImage(nn.Module):
    def forward(self, x):
        assert len(x) == 1
        return x.relu()


def test_a_factory_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("mine.py").write_text(
        "from torch import nn\nmake = lambda: nn.ReLU()\nnothing = lambda: 3\nvalue = 3\n"
    )
    source = Source(None, factory="mine:make", input_shape=(3, 5, 4))
    assert format_of(source).name == "pytorch"
    assert [node.op for node in FORMAT.read(source)] == ["relu"]
    for name, message in {
        "mine:nothing": "mine:nothing makes no network\n  got      int",
        "mine:value": "--factory mine:value cannot be called\n  got      int",
        "mine": "--factory is package.module:callable, not 'mine'",
        "absent:make": "--factory absent:make cannot be imported\n"
        "  because  ModuleNotFoundError: No module named 'absent'\n"
        "  try      run in the folder that holds the module, or put it on PYTHONPATH",
    }.items():
        assert problem(Source(None, factory=name, input_shape=(3, 5, 4)), UsageError) == message


def test_a_pickled_network(tmp_path):
    torch.save(small_mgn(), tmp_path / "m.pth")
    source = Source(tmp_path / "m.pth", input_shape=SHAPE, trust_pickle=True)
    assert FORMAT.read(source).outputs == ("cat", "classifier")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source(None), "there is no model to read\n  try      a checkpoint, or --factory module:callable"),
        (
            Source(None, factory="small_networks:small_mgn"),
            "small_networks:small_mgn does not tell which images it takes\n  try      --input-shape C,H,W",
        ),
        (
            Source(None, factory="a:b", architecture="mgn"),
            "--arch and --factory both name a network\n  try      one of the two",
        ),
    ],
)
def test_sources_that_do_not_tell_enough(source, message):
    assert problem(source, UsageError) == message
