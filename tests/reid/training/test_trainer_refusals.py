"""Trainings that cannot begin, or cannot go on."""

import pytest
import torch

from mgn_convert.errors import MgnConvertError, UsageError
from mgn_reid.training.loop import Loop
from mgn_reid.training.trainer import train


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.folder=null"], "no data set to train on"),
        (["data.folder=/none"], "/none"),
        (["data.identities=6"], "fewer people than a batch: 5"),
        (["network.name=mgm"], "no network 'mgm'"),
        (["network.options.poool=max"], "no option 'poool'"),
        (["network.options.pool=median"], "network.options.pool"),
        (["network.options.features=many"], "network.options.features"),
        (["data.size=97x32"], "multiples of 96"),
        (["data.size=96x32", "network.options.input_size=192x64"], "contradicts data.size"),
        (["losses.1.on=[g9]"], "g9"),
        (["freeze={match: [trunk.*], iterations: 1}"], "fits no parameter"),
    ],
)
def test_settings_that_cannot_be_met_are_refused_before_anything_is_written(
    small, tmp_path, overrides, message
):
    with pytest.raises(UsageError) as caught:
        train(small(*overrides), tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_finite_stops_before_it_is_saved(small, tmp_path):
    with pytest.raises(MgnConvertError, match="no longer finite, in epoch 1"):
        train(small("optimiser={kind: sgd, rate: 1e30}"), tmp_path / "out")
    assert not (tmp_path / "out" / "last.pth").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB."), "memory is too small"),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed. "), "loads pictures has ended"),
        (ConnectionResetError(104, "Connection reset by peer"), "loads pictures has ended"),
    ],
)
def test_outages_are_one_message(small, tmp_path, monkeypatch, error, message):
    def iteration(self, batches):
        raise error

    monkeypatch.setattr(Loop, "_iteration", iteration)
    with pytest.raises(MgnConvertError, match=message):
        train(small(), tmp_path / "out")


def test_errors_of_programs_are_not_hidden(small, tmp_path, monkeypatch):
    def iteration(self, batches):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Loop, "_iteration", iteration)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train(small(), tmp_path / "out")
