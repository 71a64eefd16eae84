"""The command lines as users type them, and what they answer to bad input."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from small_networks import small_mgn

from mgn_convert.cli import main
from mgn_convert.resources import resource

FACTORY = ["--factory", "small_networks:small_mgn", "--input-shape", "3,48,16", "--output", "0"]


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    torch.save(small_mgn().state_dict(), folder / "small.pth")
    for command in (
        ["pytorch2caffe", folder / "small.pth", *FACTORY, "-o", folder],
        ["caffe2darknet", folder / "small.prototxt", folder / "small.caffemodel", "-o", folder],
    ):
        result = call(*command)
        assert result.exit_code == 0, result.output
    return folder


def test_the_main_road(converted):
    names = sorted(p.name for p in converted.iterdir())
    assert names == [
        "small.caffemodel",
        "small.cfg",
        "small.manifest.json",
        "small.prototxt",
        "small.pth",
        "small.weights",
    ]


def test_verify_writes_a_report_by_its_schema(converted):
    report = converted / "report.json"
    result = call(
        "verify",
        converted / "small.pth",
        *FACTORY,
        converted / "small.prototxt",
        converted / "small.caffemodel",
        converted / "small.cfg",
        "--tol",
        "1e-4",
        "--layers",
        "--json",
        report,
    )
    assert result.exit_code == 0, result.output
    content = json.loads(report.read_text())
    jsonschema.validate(content, json.loads(resource("schemas/report.schema.json").read_text()))
    assert content["verdict"] == "pass"
    assert 0 < content["max_error"] < 1e-5
    assert len(content["candidates"]) == 2
    report.unlink()
    assert "[convolutional]" in result.output, "section names are not taken for markup"


def test_a_tolerance_that_nothing_meets_exits_with_1(converted):
    result = call("verify", converted / "small.prototxt", converted / "small.cfg", "--tol", "1e-12")
    assert result.exit_code == 1
    assert "fail" in result.output


def test_verify_in_the_plain_engine_on_one_thread(converted):
    files = converted / "small.prototxt", converted / "small.cfg"
    result = call("verify", *files, "--engine", "darknet-plain", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert "darknet-plain" in result.output
    result = call("verify", *files, "--engine", "darknt")
    assert result.exit_code == 2
    assert "there is no engine 'darknt'" in result.output
    assert call("verify", *files, "--threads", "0").exit_code == 2


def test_embed_uses_the_manifest_and_any_engine_agrees(converted, tmp_path):
    for number in range(3):
        Image.effect_noise((16, 48), 40 + 30 * number).convert("RGB").save(tmp_path / f"{number}.png")
    found = []
    for model in ("small.prototxt", "small.cfg"):
        target = tmp_path / f"{model}.npy"
        result = call("embed", converted / model, tmp_path, "-o", target, "--batch", 2)
        assert result.exit_code == 0, result.output
        found.append(np.load(target))
    assert found[0].shape == (3, 24)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_help_lists_every_conversion_and_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from mgn_convert.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'cv2', 'google.protobuf', 'rich', 'PIL') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pytorch2caffe" in printed
    assert "caffe2darknet" in printed
    assert printed.rstrip().endswith("[]")


def test_ops_and_doctor_answer():
    result = call("ops")
    assert result.exit_code == 0
    assert "max_pool" in result.output
    assert "pool=" in result.output
    assert "torch" in call("doctor").output


def test_doctor_tells_how_to_get_tensorflow(monkeypatch):
    monkeypatch.setattr("mgn_convert.doctor.util.find_spec", lambda name: None)
    assert "pip install 'mgn-convert[tensorflow]'" in call("doctor").output


class Evil:
    def __reduce__(self):
        return (os.getcwd, ())


def _bad_inputs(folder: Path) -> dict[str, tuple[list, int, str]]:
    """name -> (arguments, exit code, what the message says)."""
    good = folder / "good"
    good.mkdir()
    state = small_mgn().state_dict()
    torch.save(state, good / "net.pth")
    torch.save({k: v for k, v in state.items() if k != "stem.0.weight"}, folder / "missing.pth")
    torch.save({**state, "surplus.weight": torch.ones(2)}, folder / "surplus.pth")
    torch.save({**state, "stem.0.weight": torch.ones(2, 3)}, folder / "shape.pth")
    (folder / "evil.pth").write_bytes(pickle.dumps(Evil()))
    (folder / "text.pth").write_text("these are not weights\n")
    (folder / "data.xyz").write_text("?")
    out = ["-o", folder / "out"]
    read = ["pytorch2caffe", *FACTORY, *out]
    embed = ["embed", *FACTORY, "-o", folder / "e.npy", good / "net.pth"]
    return {
        "no such file": (["pytorch2caffe", folder / "no.pth", *out], 2, "there is no file"),
        "unknown suffix": (["pytorch2caffe", folder / "data.xyz", *out], 2, "is of no known kind"),
        "unknown architecture": (["pytorch2caffe", good / "net.pth", "--arch", "mng", *out], 2, "mgn"),
        "no architecture": (["pytorch2caffe", good / "net.pth", *out], 2, "--arch"),
        "bad arch option": (
            ["pytorch2caffe", good / "net.pth", "--arch", "mgn", "--arch-option", "pool", *out],
            2,
            "KEY=VALUE",
        ),
        "missing key": ([*read, folder / "missing.pth"], 4, "stem.0.weight"),
        "surplus key": ([*read, folder / "surplus.pth"], 4, "surplus.weight"),
        "mis-shaped weight": ([*read, folder / "shape.pth"], 4, "stem.0.weight"),
        "pickle with code": ([*read, folder / "evil.pth"], 4, "--trust-pickle"),
        "text named pth": ([*read, folder / "text.pth"], 4, "text.pth"),
        "folder named as model": ([*read, good], 2, "is of no known kind"),
        "three unsupported calls": (
            ["pytorch2caffe", "--factory", "small_networks:three_troubles", "--input-shape", "3,8,8", *out],
            3,
            "grid_sampler",
        ),
        "unknown factory": (["pytorch2caffe", "--factory", "small_networks:nothing", *out], 2, "nothing"),
        "bad input shape": (["pytorch2caffe", *FACTORY[:2], "--input-shape", "3,a", *out], 2, "C,H,W"),
        "unknown output": ([*read[:-2], "--output", "7", *out, good / "net.pth"], 2, "7"),
        "no reference": (["verify", good / "net.pth", *FACTORY], 2, "nothing to compare"),
        "verify without file": (["verify", good / "a.prototxt", good / "b.cfg"], 2, "there is no file"),
        "weights alone": (["verify", folder / "w.caffemodel"], 2, "follows no model"),
        "not a picture": ([*embed, folder / "text.pth"], 4, "not a picture"),
        "no picture": ([*embed, folder / "no.png"], 2, "no picture"),
        **_bad_packages(folder, good, [*FACTORY, *out]),
    }


def _bad_packages(folder: Path, good: Path, read: list) -> dict[str, tuple[list, int, str]]:
    """Wrong files of, and wrong wishes for, the formats that hold more than a network."""
    (folder / "text.onnx").write_text("no model\n")
    (folder / "text.pb").write_text("no graph\n")
    saved = folder / "saved" / "3"
    saved.mkdir(parents=True)
    (saved / "saved_model.pb").write_text("no model\n")
    embed = ["embed", "-o", folder / "e.npy"]
    picture = Path(__file__).parents[1] / "examples/01-mgn-to-caffe-and-darknet/images/ada_1.png"
    to_onnx, to_tensorflow = (["pytorch2" + to, good / "net.pth", *read] for to in ("onnx", "tensorflow"))
    return {
        "text named onnx": (["onnx2caffe", folder / "text.onnx", *read[-2:]], 4, "is not an ONNX file"),
        "text named pb": ([*embed, folder / "text.pb", picture], 4, "cannot load"),
        "no SavedModel inside": ([*embed, folder / "saved", picture], 4, "cannot load"),
        "no such format": ([*to_tensorflow, "--format", "lite"], 2, "'lite' is not one of"),
        "preprocessing unknown": ([*to_onnx, "--with-preprocessing"], 2, "the preprocessing of"),
        "resize alone": ([*to_onnx, "--resize", "bicubic"], 2, "--with-preprocessing"),
        "unknown order": ([*to_tensorflow, "--embedding-order", "best"], 2, "no embedding order 'best'"),
        "a name of TensorFlow's": ([*to_tensorflow, "--input-name", "my image"], 2, "no node called"),
    }


@pytest.fixture(scope="module")
def bad_inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    return folder, _bad_inputs(folder)


@pytest.mark.parametrize(
    "case",
    [
        "no such file",
        "unknown suffix",
        "unknown architecture",
        "no architecture",
        "bad arch option",
        "missing key",
        "surplus key",
        "mis-shaped weight",
        "pickle with code",
        "text named pth",
        "folder named as model",
        "three unsupported calls",
        "unknown factory",
        "bad input shape",
        "unknown output",
        "no reference",
        "verify without file",
        "weights alone",
        "not a picture",
        "no picture",
        "text named onnx",
        "text named pb",
        "no SavedModel inside",
        "no such format",
        "preprocessing unknown",
        "resize alone",
        "unknown order",
        "a name of TensorFlow's",
    ],
)
def test_bad_input_is_one_message_with_its_exit_code(bad_inputs, case):
    folder, cases = bad_inputs
    arguments, code, text = cases[case]
    result = call(*arguments)
    assert result.exit_code == code, result.output
    assert text in result.output
    assert "Traceback" not in result.output
    assert not (folder / "out").exists()
    assert not (folder / "e.npy").exists()


def test_every_case_is_run(bad_inputs):
    mark = next(m for m in test_bad_input_is_one_message_with_its_exit_code.pytestmark if m.args[0] == "case")
    assert set(mark.args[1]) == set(bad_inputs[1])


def test_all_three_unsupported_calls_are_listed(bad_inputs):
    output = call(*bad_inputs[1]["three unsupported calls"][0]).output
    for name in ("grid_sampler", "cumsum", "erfinv"):
        assert name in output
    assert output.count("small_networks.py:") >= 3


def test_an_output_folder_that_cannot_be_made(converted, tmp_path):
    (tmp_path / "file").write_text("x")
    result = call("caffe2darknet", converted / "small.prototxt", "-o", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert "cannot write into" in result.output


def test_ctrl_c_leaves_nothing_behind(converted, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        assert any((tmp_path / "out").iterdir()), "files are written, but not in place"
        signal.raise_signal(signal.SIGINT)

    # Where the tests run in the background, the shell has the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("mgn_convert.pipeline.verify_sources", interrupted)
    result = call("caffe2darknet", converted / "small.prototxt", "-o", tmp_path / "out")
    signal.signal(signal.SIGINT, before)
    assert result.exit_code == 1
    assert "Aborted" in result.output
    assert not (tmp_path / "out").exists()
