"""Two processes of torchrun train as one: equal weights, and the mean of the gradients of their halves."""

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mgn_convert.datasets import read_dataset
from mgn_convert.errors import UsageError
from mgn_reid.data.pictures import People
from mgn_reid.training import trainer
from mgn_reid.training.checkpoint import Progress, load
from mgn_reid.training.distributed import Processes, joined
from mgn_reid.training.interrupt import Request
from mgn_reid.training.loop import Loop
from mgn_reid.training.trainer import train

SCRIPT = Path(__file__).parent / "processes" / "train_together.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_together", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def together(small_file, tmp_path_factory):
    """The folder in which two processes left what the script says."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(SCRIPT), str(small_file), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_weights_stay_equal_and_step_along_the_mean_of_both_halves(together, script, small):
    one, other = (torch.load(together / f"{rank}.pt") for rank in range(2))
    with joined("cpu") as alone:
        loop = Loop(script.task(small(*script.ONE_STEP), together), alone, Request())
    (batch, *_) = loop._loader
    learner = loop.state.learner.train()
    start = copy.deepcopy(learner.state_dict())
    assert not set(batch.labels[:4].tolist()) & set(batch.labels[4:].tolist())
    for half in (slice(0, 4), slice(4, 8)):
        (sum(learner(batch.images[half], batch.labels[half]).values()) / 2).backward()
    for name, parameter in learner.named_parameters():
        assert torch.equal(one[name], other[name]), name
        if parameter.grad is not None:
            expected = start[name] - 0.01 * parameter.grad
            torch.testing.assert_close(one[name], expected, rtol=1e-5, atol=1e-6)
    changed = [name for name in one if not torch.equal(one[name], start[name])]
    assert len(changed) > 0.9 * len(one)
    statistics = "network.backone.1.running_mean"
    assert not torch.equal(one[statistics], other[statistics])


def test_processes_share_flags_means_and_content(together):
    for rank in range(2):
        told = json.loads((together / f"{rank}.json").read_text())
        assert told == {"any": [True, False], "mean": [1, 2], "gathered": [10, 11], "first": rank == 0}


def test_a_training_that_goes_on_gives_the_numbers_of_one_in_one_go(together):
    one, other = (load(together / out / "last.pth") for out in ("out", "whole"))
    assert one["iteration"] == other["iteration"] == 8
    assert len(one["random"]) == 2
    for key, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][key]), key


def test_the_first_process_alone_logs_and_evaluates(together):
    lines = (together / "whole" / "train.log").read_text().splitlines()
    assert "2 x cpu" in lines[0]
    assert sum("cross-entropy" in line for line in lines) == 8
    assert sum("scores" in line for line in lines) == 2
    assert len(list((together / "whole").glob("events.*"))) == 1


def test_another_number_of_processes_may_go_on_and_is_told(together, script, small, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "last.pth").symlink_to(together / "out" / "last.pth")
    train(small(*script.RUN, "epochs=3"), out, resume=True)
    assert "another number of processes" in (out / "train.log").read_text()


def test_processes_that_read_different_checkpoints_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(Processes, "gathered", lambda self, content: [content, 0])
    processes = Processes(0, 2, torch.device("cpu"))
    with pytest.raises(UsageError, match="do not see one"):
        trainer._check_together(Progress(1, 0, 7), processes, tmp_path)
    trainer._check_together(Progress(), processes, tmp_path)


@pytest.mark.parametrize(("size", "wanted"), [(2, 3), (4, 4)])
def test_people_that_cannot_be_split_are_refused(small, size, wanted):
    people = People(read_dataset(small().data.folder).train)
    processes = Processes(0, size, torch.device("cpu"))
    with pytest.raises(UsageError, match=f"{wanted} people cannot be split over {size} processes"):
        trainer._check_people(small(f"data.identities={wanted}"), people, processes)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match="has no GPU"), joined("cuda"):
        pass
    with joined("auto") as processes:
        assert processes.device == torch.device("cpu")
