"""A small network in every format, in the real engines, with faults put in on purpose."""

import re
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mgn_convert
from mgn_convert.formats import Source, formats
from mgn_convert.graph import Graph, rewrite
from mgn_convert.manifest import Manifest, manifest_path
from mgn_convert.passes.legalize import legalize
from mgn_convert.pipeline import _artefact

REFERENCE = Source(None, factory="small_networks:small_mgn", input_shape=(3, 48, 16), output="0")


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    mgn_convert.convert(REFERENCE, "caffe", folder, name="small")
    mgn_convert.convert(folder / "small.prototxt", "darknet", folder)
    mgn_convert.convert(REFERENCE, "onnx", folder, name="small")
    mgn_convert.convert(REFERENCE, "tensorflow", folder, name="small")
    return folder


def test_every_stage_is_exact(converted):
    files = [converted / f"small{suffix}" for suffix in (".prototxt", ".cfg", ".onnx", ".pb")]
    plain = Source(converted / "small.cfg", engine="darknet-plain")
    report = mgn_convert.verify(REFERENCE, *files, plain, exact=True, layers=True)
    assert report.passed
    caffe, darknet, onnx, tensorflow, _ = report.candidates
    engines = ("opencv", "darknet", "onnxruntime", "tensorflow", "darknet-plain")
    assert tuple(c.engine for c in report.candidates) == engines
    assert len(caffe.layers) > len(darknet.layers) > 15
    assert len(onnx.layers) == len(tensorflow.layers) == len(mgn_convert.read(REFERENCE).nodes)
    assert max(row.isolated for c in report.candidates for row in c.layers) < 2e-6
    assert report.cosine_min > 0.999999


def test_caffe_can_be_the_reference(converted):
    report = mgn_convert.verify(converted / "small.prototxt", converted / "small.cfg", layers=True)
    assert report.passed
    assert report.candidates[0].layers


def edited(graph: Graph, tensor: str, change) -> Graph:
    """The graph with one node changed: change(attrs, params) edits copies of them."""

    def rule(builder, node, inputs):
        if node.name != tensor:
            return None
        attrs, params = dict(node.attrs), {k: v.copy() for k, v in node.params.items()}
        change(attrs, params)
        return builder.copy(replace(node, attrs=attrs, params=params), inputs)

    return rewrite(graph, rule)


def perturb(attrs, params):
    params["weight"][1, 2, 0, 0] += 0.5


def swap(attrs, params):
    params["weight"][[3, 4]] = params["weight"][[4, 3]]


def change_eps(attrs, params):
    attrs["eps"] = 0.05


def shift_window(attrs, params):
    top, left, bottom, right = attrs["padding"]
    attrs["padding"] = (top - 1, left - 1, bottom + 1, right + 1)


FAULTS = {
    "perturbed weight": ("block.conv1", perturb),
    "swapped channel pair": ("block.downsample.0", swap),
    "changed eps": ("block.bn1", change_eps),
    "shifted pooling window": ("stem.3", shift_window),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("to", ["caffe", "darknet", "onnx", "tensorflow"])
def test_a_fault_is_found_and_its_layer_named(converted, tmp_path, to, fault):
    tensor, change = FAULTS[fault]
    kind = formats()[to]
    target = kind.target(None)
    broken = legalize(edited(mgn_convert.read(REFERENCE), tensor, change), target)
    written = kind.write(broken, tmp_path, "small", target)
    main = written.files[0]
    manifest = Manifest.load(converted / "small.manifest.json")
    artefact = _artefact(to, target, broken, written, main)
    replace(manifest, artefacts={to: artefact}).save(manifest_path(main))
    report = mgn_convert.verify(REFERENCE, main, layers=True)
    assert not report.passed
    guilty = report.candidates[0].guilty
    assert tensor in guilty.origin.replace(" ", "").replace("(", "+").split("+")
    assert "small_networks.py:" in guilty.origin or tensor.startswith("stem")
    bad = [row for row in report.candidates[0].layers if not row.passed]
    assert len(bad) == 1, "only the layer at fault fails in isolation"


def test_folded_batch_norms_stay_exact(tmp_path):
    result = mgn_convert.convert(REFERENCE, "caffe", tmp_path, name="folded", fold_batch_norm=True)
    assert not [node for node in result.graph if node.op == "batch_norm"]
    assert result.report.candidates[0].exact


def test_the_same_input_gives_the_same_bytes(converted, tmp_path):
    mgn_convert.convert(REFERENCE, "caffe", tmp_path, name="small", verify=False)
    mgn_convert.convert(tmp_path / "small.prototxt", "darknet", tmp_path, verify=False)
    mgn_convert.convert(REFERENCE, "onnx", tmp_path, name="small", verify=False)
    mgn_convert.convert(REFERENCE, "tensorflow", tmp_path, name="small", verify=False)
    for path in sorted(converted.iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_nothing_is_written_when_the_numbers_do_not_hold(tmp_path):
    with pytest.raises(mgn_convert.errors.ParityError, match="above the tolerance of 1e-12"):
        mgn_convert.convert(REFERENCE, "caffe", tmp_path / "out", name="small", tolerance=1e-12)
    assert not (tmp_path / "out").exists()


def test_the_message_says_when_rounding_decides(monkeypatch, tmp_path):
    class Loses(torch.nn.Module):
        def forward(self, x):
            x = x.flatten(1) * 1e7
            return torch.nn.functional.linear(x, torch.ones(1, 192)) - x.sum(1, keepdim=True)

    monkeypatch.setitem(sys.modules, "losing_networks", types.SimpleNamespace(make=Loses))
    source = Source(None, factory="losing_networks:make", input_shape=(3, 8, 8))
    with pytest.raises(mgn_convert.errors.ParityError) as caught:
        mgn_convert.convert(source, "onnx", tmp_path / "out", tolerance=1e-7)
    assert re.search("but on .* PyTorch .* itself errs by .* so rounding decides there", caught.value.because)


def test_a_factory_is_asked_at_every_call(monkeypatch):
    """In a notebook its network goes on learning."""
    module = types.ModuleType("growing_networks")
    module.make = lambda: torch.nn.Conv2d(3, module.channels, 1).eval()
    monkeypatch.setitem(sys.modules, "growing_networks", module)
    source = Source(None, factory="growing_networks:make", input_shape=(3, 8, 8))
    for channels in (4, 5):
        module.channels = channels
        assert mgn_convert.read(source).nodes[0].shape == (1, channels, 8, 8)


def test_read_runs_in_float64(converted):
    graph = mgn_convert.read(converted / "small.cfg")
    images = np.random.default_rng(0).standard_normal((3, 3, 48, 16))
    found = graph.run({graph.inputs[0].name: images})[graph.outputs[0]]
    original = mgn_convert.read(REFERENCE)
    expected = original.run({original.inputs[0].name: images})[original.outputs[0]]
    # The files hold float32; only the batch norms' variances were rounded once more.
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("nudge", "verdicts"), [(4e-6, {"selection changed"}), (0.2, {"fail"})])
def test_a_choice_turned_over_by_rounding_is_no_fault(tmp_path, nudge, verdicts):
    source = Source(None, factory="small_networks:chooser", input_shape=(3, 9, 7))
    kind = formats()["caffe"]
    target = kind.target(None)

    def prefer_the_second(attrs, params):
        params["bias"][1] += nudge

    graph = edited(mgn_convert.read(source), "scores", prefer_the_second)
    written = kind.write(legalize(graph, target), tmp_path, "chooser", target)
    report = mgn_convert.verify(source, written.files[0], seed=3)
    rows = report.candidates[0].inputs
    assert {row.verdict for row in rows} == verdicts
    assert not report.passed, "where every choice is another one, nothing was compared"
    assert all(row.margin < 1e-5 for row in rows if row.verdict == "selection changed")
