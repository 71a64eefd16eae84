"""mgn-reid train, from its arguments to its exit code."""

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mgn_reid.cli import main
from mgn_reid.training.checkpoint import load
from mgn_reid.training.loop import Loop


@pytest.fixture
def run(small_file, tmp_path):
    """Calls the command on the small people: run("seed=1") gives click's result."""

    def call(*arguments):
        given = ["train", str(small_file), "epochs=1", "-o", str(tmp_path / "out"), *arguments]
        return CliRunner().invoke(main, given)

    return call


def test_a_configuration_trains_into_the_folder_named(run, tmp_path):
    result = run()
    assert result.exit_code == 0, result.output
    assert "mAP" in result.output
    assert load(tmp_path / "out" / "best.pth")["epoch"] == 1


def test_the_folder_is_called_after_the_configuration_by_default(small_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["train", str(small_file), "epochs=null", "iterations=1"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "small" / "last.pth").is_file()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_tells_how_to_go_on_and_is_the_exit_code(run, tmp_path, monkeypatch, number, code):
    step = Loop._iteration

    def iteration(self, batches):
        step(self, batches)
        os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_iteration", iteration)
        result = run()
    assert result.exit_code == code
    assert f"{tmp_path / 'out' / 'last.pth'} is saved" in result.output
    assert "--resume" in result.output
    assert load(tmp_path / "out" / "last.pth")["iteration"] == 1
    result = run("--resume")
    assert result.exit_code == 0, result.output
    assert "going on after iteration 1" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["optimiser.rat=1"], 2, "rate"),
        (["data.folder=/none"], 2, "/none"),
        (["--resume", "--overwrite"], 2, "exclude each other"),
        (["start.weights=/none.pth"], 4, "/none.pth does not exist"),
    ],
)
def test_mistakes_are_one_message(run, arguments, code, message):
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_wrong_recipe_lists_those_that_are_there():
    result = CliRunner().invoke(main, ["train", "mgn-smal"])
    assert result.exit_code == 2
    assert "mgn-small" in result.output
    assert "lagnet" in result.output


def test_another_training_is_kept_unless_it_may_be_overwritten(run):
    assert run().exit_code == 0
    result = run()
    assert result.exit_code == 2
    assert "--overwrite" in result.output
    assert run("--overwrite").exit_code == 0


def test_a_damaged_checkpoint_is_refused(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "last.pth").write_bytes(b"PK nothing")
    result = run("--resume")
    assert result.exit_code == 4
    assert "is not a checkpoint" in result.output


@pytest.mark.parametrize("missing", ["pydantic", "yaml", "tensorboard"])
def test_a_missing_package_names_the_extra(missing, small_file, tmp_path):
    program = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[0] = 'mgn-reid';"
        "from mgn_reid.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "train", str(small_file), "-o", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 5, result.stderr
    assert "mgn-convert[train]" in result.stderr
    assert missing in result.stderr
    assert not (tmp_path / "out").exists()
