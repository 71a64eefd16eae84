"""Going on from a checkpoint gives what one training in one go gives, to the bit."""

import multiprocessing
import os
import signal
import time

import pytest
import torch

from mgn_convert.errors import UsageError
from mgn_reid.training import scoring
from mgn_reid.training.checkpoint import load
from mgn_reid.training.loop import Loop
from mgn_reid.training.trainer import train

RUN = (
    "data.passes=3",
    "data.incomplete=drop",
    "data.augmentation.erase.probability=0.5",
    "schedule={kind: cosine, until: 2, warmup: {iterations: 4}}",
    "epochs=2",
)
"""Two epochs of six batches."""


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """The folder of a training in one go."""
    out = tmp_path_factory.mktemp("whole") / "out"
    train(small(*RUN), out)
    return out


def interrupt(monkeypatch, after, number=signal.SIGTERM):
    """Send this process a signal in the middle of an iteration, after so many whole ones."""
    step = Loop._iteration
    done = []

    def iteration(self, batches):
        step(self, batches)
        done.append(1)
        if len(done) == after + 1:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Loop, "_iteration", iteration)


def assert_equal(one, other):
    """Two checkpoints hold the same numbers."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    else:
        assert one == other


@pytest.mark.parametrize(("after", "number"), [(2, signal.SIGTERM), (5, signal.SIGINT), (8, signal.SIGTERM)])
def test_an_interrupted_training_goes_on_to_the_same_numbers(
    small, whole, tmp_path, monkeypatch, after, number
):
    out = tmp_path / "out"
    interrupt(monkeypatch, after, number)
    outcome = train(small(*RUN), out)
    assert outcome.signal == number
    saved = load(out / "last.pth")
    assert saved["iteration"] == after + 1
    assert (saved["epoch"], saved["batches"]) == divmod(after + 1, 6)
    assert "--resume" in (out / "train.log").read_text()
    torch.manual_seed(99)
    assert train(small(*RUN), out, resume=True).signal is None
    assert_equal(load(out / "last.pth"), load(whole / "last.pth"))


def test_workers_live_through_a_signal_to_all_processes(small, tmp_path, monkeypatch):
    step = Loop._iteration

    def iteration(self, batches):
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        step(self, batches)

    monkeypatch.setattr(Loop, "_iteration", iteration)
    assert train(small(*RUN, "data.workers=1"), tmp_path / "out").signal == signal.SIGTERM
    assert load(tmp_path / "out" / "last.pth")["iteration"] == 1


def test_interruptions_restore_the_handlers_of_signals(small, tmp_path, monkeypatch):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    interrupt(monkeypatch, 0)
    train(small(*RUN), tmp_path / "out")
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_accumulated_batches_go_on_too(small, tmp_path, monkeypatch):
    run = (*RUN, "accumulate=4", "epochs=1")
    train(small(*run), tmp_path / "whole")
    interrupt(monkeypatch, 0)
    train(small(*run), tmp_path / "out")
    saved = load(tmp_path / "out" / "last.pth")
    assert (saved["iteration"], saved["batches"]) == (1, 4)
    train(small(*run), tmp_path / "out", resume=True)
    found = load(tmp_path / "out" / "last.pth")
    assert found["iteration"] == 2
    assert_equal(found, load(tmp_path / "whole" / "last.pth"))


def test_a_longer_training_goes_on_where_a_shorter_one_ended(small, whole, tmp_path):
    out = tmp_path / "out"
    train(small(*RUN, "epochs=1"), out)
    train(small(*RUN), out, resume=True)
    one, other = load(out / "last.pth"), load(whole / "last.pth")
    assert_equal(one["state_dict"], other["state_dict"])
    assert_equal(one["optimiser"], other["optimiser"])


def test_an_evaluation_that_was_interrupted_is_made_up_for(small, whole, tmp_path, monkeypatch):
    out = tmp_path / "out"
    scored = scoring.score

    def interrupted(*arguments, advance, **options):
        def stop(done, total):
            os.kill(os.getpid(), signal.SIGTERM)
            advance(done, total)

        return scored(*arguments, advance=stop, **options)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score", interrupted)
        assert train(small(*RUN), out).signal == signal.SIGTERM
    saved = load(out / "last.pth")
    assert (saved["epoch"], saved["scores"]) == (1, None)
    train(small(*RUN), out, resume=True)
    assert_equal(load(out / "last.pth"), load(whole / "last.pth"))
    assert (out / "train.log").read_text().count("  scores  ") == 2


def test_resuming_nothing_starts(small, tmp_path):
    out = tmp_path / "out"
    assert train(small(*RUN, "epochs=1"), out, resume=True).signal is None
    assert load(out / "last.pth")["epoch"] == 1


def test_resuming_what_is_finished_changes_nothing(small, tmp_path):
    out = tmp_path / "out"
    train(small(*RUN, "epochs=1"), out)
    before = (out / "last.pth").read_bytes()
    train(small(*RUN, "epochs=1"), out, resume=True)
    assert (out / "last.pth").read_bytes() == before


def test_another_configuration_is_refused_and_nothing_is_touched(small, whole):
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    with pytest.raises(UsageError, match=r"seed: 0 became 1"):
        train(small(*RUN, "seed=1"), whole, resume=True)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


def test_a_data_set_with_other_people_is_refused(small, whole, people, tmp_path):
    other = tmp_path / "set"
    (other / "bounding_box_train").mkdir(parents=True)
    for path in (people / "bounding_box_train").glob("000[1-4]_*"):
        (other / "bounding_box_train" / path.name).write_bytes(path.read_bytes())
    for part in ("query", "bounding_box_test"):
        (other / part).symlink_to(people / part)
    with pytest.raises(UsageError, match="has 5 classes, the data set 4 people"):
        train(small(*RUN, f"data.folder={other}"), whole, resume=True)
