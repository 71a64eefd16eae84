"""What a training does and leaves, against the same steps done by hand."""

import math
import shutil

import pytest
import torch
import yaml

import mgn_convert
from mgn_convert.datasets import read_dataset
from mgn_convert.errors import FileFormatError, UsageError
from mgn_reid.data.augment import Augment
from mgn_reid.data.pictures import People, TrainingPictures, loader
from mgn_reid.data.sampler import PeopleSampler, Plan
from mgn_reid.training import scoring
from mgn_reid.training.checkpoint import load
from mgn_reid.training.config import load_config
from mgn_reid.training.learner import Learner
from mgn_reid.training.network import assemble
from mgn_reid.training.trainer import train

PLAIN = ("optimiser={kind: sgd, rate: 0.01, momentum: 0.5, weight_decay: 0.1}", "data.augmentation.pad=2")


def weights(out):
    return load(out / "last.pth")["state_dict"]


def by_hand(config, steps, accumulate=1):
    """A learner after `steps` steps of plain SGD on the batches that the plan has."""
    dataset = read_dataset(config.data.folder)
    people = People(dataset.train)
    made = assemble(config, len(people.identities))
    learner = Learner(made.network, config.losses, len(people.identities)).train()
    plan = Plan(people.pictures, 2, 2, config.data.passes, config.data.incomplete, config.seed)
    sampler = PeopleSampler(plan)
    augment = Augment(made.preprocessing, config.data.augmentation)
    pictures = TrainingPictures([p.path for p in dataset.train], people, augment, config.seed, False)
    optimiser = torch.optim.SGD(
        [p for p in learner.parameters() if p.requires_grad], 0.01, 0.5, weight_decay=0.1
    )
    batches = list(loader(pictures, sampler, 0, False))
    for step in range(steps):
        optimiser.zero_grad()
        for batch in batches[step * accumulate : (step + 1) * accumulate]:
            (sum(learner(batch.images, batch.labels).values()) / accumulate).backward()
        optimiser.step()
    return learner


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """The folder of a training of two epochs, three iterations each."""
    out = tmp_path_factory.mktemp("trained") / "out"
    outcome = train(small("epochs=2", "evaluation.flip=true", "keep_every=1"), out)
    return out, outcome


def test_iterations_are_steps_along_the_gradient(small, tmp_path):
    config = small(*PLAIN, "epochs=1")
    train(config, tmp_path / "out")
    expected = by_hand(config, 3).network.state_dict()
    found = weights(tmp_path / "out")
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_accumulated_batches_make_one_step_along_their_mean(small, tmp_path):
    config = small(*PLAIN, "epochs=null", "iterations=1", "accumulate=3")
    train(config, tmp_path / "out")
    expected = by_hand(config, 1, accumulate=3).network.state_dict()
    for key, tensor in weights(tmp_path / "out").items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-5, atol=1e-6)


def test_a_training_leaves_checkpoints_log_curves_and_its_configuration(trained, small):
    out, outcome = trained
    names = sorted(p.name for p in out.iterdir())
    events = [name for name in names if name.startswith("events.out.tfevents.")]
    assert len(events) == 1
    rest = [name for name in names if name not in events]
    assert rest == ["best.pth", "config.yaml", "epoch-1.pth", "epoch-2.pth", "last.pth", "train.log"]
    assert outcome.signal is None
    assert outcome.scores == load(out / "last.pth")["scores"]
    written = yaml.safe_load((out / "config.yaml").read_text())
    assert written == small("epochs=2", "evaluation.flip=true", "keep_every=1").model_dump(mode="json")
    assert load_config(out / "config.yaml").epochs == 2
    lines = (out / "train.log").read_text().splitlines()
    assert "5 people, 20 pictures; batches of 2 x 2; 1 x cpu" in lines[0]
    assert sum("cross-entropy" in line and "triplet" in line for line in lines) == 2
    assert sum("mAP" in line for line in lines) == 2
    assert "done" in lines[-1]


def test_curves_are_what_tensorboard_reads(trained):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.tensorflow_stub.errors import OutOfRangeError
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    out, outcome = trained
    reader = PyRecordReader_New(str(next(out.glob("events.out.tfevents.*"))))
    points = {}
    with pytest.raises(OutOfRangeError):
        while True:
            reader.GetNext()
            event = Event.FromString(reader.record())
            points |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
    tags = {tag for tag, _ in points}
    assert {"loss/cross-entropy", "loss/triplet", "rate", "score/mAP", "score/rank-1"} <= tags
    assert {step for tag, step in points if tag == "rate"} == {3, 6}
    assert points["rate", 3] == pytest.approx(1e-3)
    assert points["score/mAP", 6] == pytest.approx(outcome.scores["mAP"])


def test_the_best_checkpoint_is_the_one_with_the_highest_map(small, tmp_path, monkeypatch):
    found = iter([0.3, 0.8, 0.5])

    def record(scores, epoch, iteration):
        return {**dict.fromkeys(scoring.NAMES, next(found)), "epoch": epoch, "iteration": iteration}

    monkeypatch.setattr(scoring, "record", record)
    train(small("epochs=3"), tmp_path / "out")
    best, last = load(tmp_path / "out" / "best.pth"), load(tmp_path / "out" / "last.pth")
    assert (best["epoch"], best["best"], best["scores"]["mAP"]) == (2, 0.8, 0.8)
    assert (last["epoch"], last["best"], last["scores"]["mAP"]) == (3, 0.8, 0.5)


def test_the_scores_are_those_of_the_saved_network(trained, people):
    from mgn_convert.parity.people import score_pictures
    from mgn_convert.parity.retrieval import Settings
    from mgn_convert.preprocess import Preprocessing

    out, outcome = trained
    record = load(out / "last.pth")["architecture"]
    assert record["name"] == "mgn"
    with mgn_convert.open_runner(out / "last.pth") as net:
        scores = score_pictures(
            lambda images: net.run(images)[net.outputs[0]],
            Preprocessing.from_json(record["preprocessing"]),
            read_dataset(people),
            Settings(),
            flip=True,
        )
    assert outcome.scores["mAP"] == pytest.approx(scores.mean_ap)
    assert outcome.scores["rank-1"] == pytest.approx(scores.rank(1))


def test_iterations_may_be_counted_instead_of_epochs(small, tmp_path):
    train(small("epochs=null", "iterations=4", "evaluation.every=null", "log_every=1"), tmp_path / "out")
    saved = load(tmp_path / "out" / "last.pth")
    assert (saved["iteration"], saved["epoch"], saved["batches"]) == (4, 1, 1)
    assert saved["scores"]["iteration"] == 4
    assert (tmp_path / "out" / "train.log").read_text().count("cross-entropy") == 4


def test_a_data_set_without_queries_trains_without_scores(small, people, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(people / "bounding_box_train", folder)
    outcome = train(small(f"data.folder={folder}", "epochs=1"), tmp_path / "out")
    assert outcome.scores is None
    assert not (tmp_path / "out" / "best.pth").exists()
    assert "no query and gallery" in (tmp_path / "out" / "train.log").read_text()


def test_frozen_parameters_stay_for_their_iterations_with_their_statistics(small, tmp_path):
    freeze = ("optimiser.weight_decay=0.1", "freeze={match: [backone.*], iterations: 3}", "epochs=1")
    start = assemble(small(*freeze), 5).network.state_dict()
    train(small(*freeze), tmp_path / "out")
    after = weights(tmp_path / "out")
    same = {key for key in start if torch.equal(start[key], after[key])}
    idle = {key for key in start if not key.startswith("backone.")} & same
    assert {key for key in start if key.startswith("backone.")} <= same
    assert not idle
    train(small(*freeze, "epochs=2"), tmp_path / "out", resume=True)
    thawed = weights(tmp_path / "out")
    assert not any(torch.equal(after[key], thawed[key]) for key in after if key.endswith(".weight"))
    assert thawed["backone.1.num_batches_tracked"] == 3


def test_frozen_statistics_leave_scale_and_shift_to_learn(small, tmp_path):
    start = assemble(small(), 5).network.state_dict()
    train(small("batch_norm=frozen", "epochs=1", "optimiser.rate=1e-6"), tmp_path / "out")
    after = weights(tmp_path / "out")
    for key in start:
        statistic = key.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(start[key], after[key]) == statistic, key


def test_half_precision_steps_in_the_direction_of_full_precision(small, tmp_path):
    start = assemble(small(), 5).network.state_dict()
    steps = {}
    for amp in ("false", "true"):
        train(small(*PLAIN, "epochs=null", "iterations=1", f"amp={amp}"), tmp_path / amp)
        after = weights(tmp_path / amp)
        keys = [key for key in start if key.endswith("weight")]
        steps[amp] = torch.cat([(after[key] - start[key]).flatten() for key in keys])
    assert not torch.equal(steps["false"], steps["true"])
    assert torch.cosine_similarity(steps["false"], steps["true"], dim=0) > 0.6


def test_a_start_from_weights_keeps_them_and_draws_new_heads(small, trained, tmp_path):
    out, _ = trained
    given = weights(out)
    config = small(f"start.weights={out / 'last.pth'}")
    assert all(torch.equal(given[k], v) for k, v in assemble(config, 5).network.state_dict().items())
    fewer = assemble(config, 4)
    for key, tensor in fewer.network.state_dict().items():
        assert torch.equal(given[key], tensor) or key.startswith("fc_")
    assert "identities" in fewer.told[0]
    train(small(f"start.weights={out / 'last.pth'}", "epochs=1"), tmp_path / "out")
    assert f"from {out / 'last.pth'}" in (tmp_path / "out" / "train.log").read_text()


def test_people_with_one_picture_are_told_and_repeated(small, people, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(people, folder)
    for path in sorted(folder.glob("bounding_box_train/0001_*"))[1:]:
        path.unlink()
    train(small(f"data.folder={folder}", "epochs=1"), tmp_path / "out")
    text = (tmp_path / "out" / "train.log").read_text()
    assert "note: train has a single picture of 1 people: 1" in text


def test_unreadable_pictures_stop_or_are_left_out_by_name(small, people, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(people, folder)
    bad = sorted(folder.glob("bounding_box_train/0003_*"))[0]
    bad.write_bytes(bad.read_bytes()[:60])
    config = small(f"data.folder={folder}", "data.pictures=4", "epochs=2", "evaluation.every=null")
    with pytest.raises(FileFormatError, match=bad.name):
        train(config, tmp_path / "out")
    train(config, tmp_path / "other", skip_bad=True)
    assert (tmp_path / "other" / "train.log").read_text().count(bad.name) == 1


def test_a_folder_with_another_training_is_refused_or_overwritten(trained, small, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(trained[0], out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds another training"):
        train(small(), out)
    with pytest.raises(UsageError, match="exclude each other"):
        train(small(), out, resume=True, overwrite=True)
    train(small("epochs=1", "evaluation.every=null"), out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "epoch-2.pth").exists()
    assert len(list(out.glob("events.*"))) == 1
    assert load(out / "last.pth")["epoch"] == 1
    assert math.isfinite(load(out / "best.pth")["best"])
