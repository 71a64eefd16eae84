"""Saving whole or not at all, and what may not change before going on."""

import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mgn_convert.errors import FileFormatError, UsageError
from mgn_reid.training import checkpoint

CONTENT = {key: torch.arange(5000.0) if key == "state_dict" else 3 for key in checkpoint.KEYS}


def test_what_is_saved_loads_without_running_code(tmp_path):
    checkpoint.save(CONTENT, tmp_path / "last.pth")
    found = checkpoint.load(tmp_path / "last.pth")
    assert torch.equal(found.pop("state_dict"), CONTENT["state_dict"])
    assert set(found.values()) == {3}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]


@contextmanager
def room_for(size):
    """Within it, no file of this process grows larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("before", [True, False])
def test_without_room_the_checkpoint_before_stays_and_one_message_says_so(tmp_path, before):
    path = tmp_path / "last.pth"
    if before:
        path.write_text("before")
    with room_for(4000), pytest.raises(UsageError) as caught:
        checkpoint.save(CONTENT, path)
    message = str(caught.value)
    assert f"cannot save {path}" in message
    assert "File too large" in message
    assert "--resume" in message
    assert ("before it is whole" in message) == before
    assert [p.name for p in tmp_path.iterdir()] == (["last.pth"] if before else [])
    assert not before or path.read_text() == "before"


def test_a_folder_that_cannot_be_written_is_one_message():
    with pytest.raises(UsageError, match="cannot save"):
        checkpoint.save(CONTENT, Path("/proc/none/last.pth"))


@pytest.mark.parametrize("kind", ["text", "cut", "state_dict"])
def test_other_files_are_no_checkpoint(tmp_path, kind):
    path = tmp_path / "last.pth"
    checkpoint.save(CONTENT, path)
    if kind == "text":
        path.write_text("nothing")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-500])
    else:
        torch.save({"state_dict": {}}, path)
    with pytest.raises(FileFormatError, match="is not a checkpoint"):
        checkpoint.load(path)


def test_changed_settings_are_named(small):
    saved = small().model_dump(mode="json")
    with pytest.raises(UsageError) as caught:
        checkpoint.check_config(saved, small("optimiser.rate=5e-4", "losses.1.margin=0.3", "epochs=9"))
    assert caught.value.got == "losses.1.margin: 1.2 became 0.3; optimiser.rate: 0.001 became 0.0005"


def test_settings_that_do_not_matter_may_change(small):
    changed = ("epochs=9", "data.folder=/x", "data.workers=3", "evaluation={every: 7}", "log_every=2")
    checkpoint.check_config(small().model_dump(mode="json"), small(*changed))


def test_lists_of_another_length_are_another_configuration(small):
    saved = small().model_dump(mode="json")
    with pytest.raises(UsageError, match=r"losses\.1\.kind: 'triplet' became None"):
        checkpoint.check_config(saved, small("losses=[{kind: cross-entropy}]"))


def test_other_people_are_refused_with_their_number():
    checkpoint.check_identities([1, 2, 5], [1, 2, 5])
    with pytest.raises(UsageError, match="has 3 classes, the data set 4 people") as caught:
        checkpoint.check_identities([1, 2, 5], [1, 2, 7, 9])
    assert caught.value.got == "not in the data set: 5; not in the checkpoint: 7, 9"
