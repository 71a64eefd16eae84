"""Loading: the same pictures whatever loads them, and unreadable ones named."""

import numpy as np
import pytest
import torch
from PIL import Image

from mgn_convert.datasets.types import Picture
from mgn_convert.preprocess import Preprocessing
from mgn_reid.data.augment import Augment
from mgn_reid.data.pictures import People, TrainingPictures, loader
from mgn_reid.data.sampler import PeopleSampler, Plan
from mgn_reid.training.sections import Augmentation

PREPROCESSING = Preprocessing(8, 4, resize="bilinear")


@pytest.fixture
def pictures(tmp_path):
    """Three people, 7, 40 and 9, with three pictures each."""
    random = np.random.default_rng(0)
    made = []
    for identity in (7, 40, 9):
        for shot in range(3):
            path = tmp_path / f"{identity}_{shot}.png"
            Image.fromarray(random.integers(0, 256, (10, 6, 3), np.uint8)).save(path)
            made.append(Picture(path, identity, shot))
    return made


def batches(pictures, workers=0, skip_bad=False, start=0, epoch=1, processes=(0, 1)):
    people = People(pictures)
    augment = Augment(PREPROCESSING, Augmentation(pad=2))
    sampler = PeopleSampler(Plan(people.pictures, 2, 2, passes=2, seed=3), *processes)
    sampler.begin(epoch, start)
    paths = [p.path for p in pictures]
    return list(loader(TrainingPictures(paths, people, augment, 3, skip_bad), sampler, workers, False))


def test_labels_count_the_identities_in_ascending_order(pictures):
    people = People(pictures)
    assert people.identities == [7, 9, 40]
    assert people.labels == [0, 0, 0, 2, 2, 2, 1, 1, 1]
    assert people.pictures == [[0, 1, 2], [6, 7, 8], [3, 4, 5]]


def test_batches_have_images_and_labels(pictures):
    for batch in batches(pictures):
        assert batch.images.shape == (4, 3, 8, 4)
        assert batch.images.dtype == torch.float32
        assert batch.labels.dtype == torch.int64
        assert batch.labels[0] == batch.labels[1]
        assert batch.labels[2] == batch.labels[3] != batch.labels[0]


def test_pictures_do_not_depend_on_workers_processes_or_where_an_epoch_is_entered(pictures):
    alone = batches(pictures)
    for other, same in (
        (batches(pictures, workers=2), alone),
        (batches(pictures, start=2), alone[2:]),
    ):
        assert len(other) == len(same)
        for one, two in zip(other, same, strict=True):
            assert torch.equal(one.images, two.images)
            assert torch.equal(one.labels, two.labels)
    halves = [batches(pictures, processes=(rank, 2)) for rank in range(2)]
    for one, first, second in zip(alone, *halves, strict=True):
        assert torch.equal(one.images, torch.cat([first.images, second.images]))


def test_a_picture_is_changed_otherwise_in_another_epoch(pictures):
    one, other = batches(pictures), batches(pictures, epoch=2)
    rows = {image.numpy().tobytes() for batch in one for image in batch.images}
    assert any(image.numpy().tobytes() not in rows for batch in other for image in batch.images)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_an_error_with_its_name(pictures, workers):
    pictures[4].path.write_bytes(pictures[4].path.read_bytes()[:80])
    errors = [batch.error for batch in batches(pictures, workers) if batch.error is not None]
    assert errors
    assert f"{pictures[4].path} is not a picture" in str(errors[0])
    assert "--skip-bad" in str(errors[0])


def test_another_picture_of_the_person_takes_its_place_with_skip_bad(pictures):
    pictures[4].path.write_bytes(b"")
    made = batches(pictures, skip_bad=True)
    assert all(batch.error is None for batch in made)
    told = {line for batch in made for line in batch.unreadable}
    assert len(told) == 1
    assert str(pictures[4].path) in told.pop()
    labels = torch.stack([batch.labels for batch in made])
    assert torch.equal(labels, torch.stack([batch.labels for batch in batches(pictures, skip_bad=True)]))


def test_a_person_without_a_readable_picture_is_an_error(pictures):
    for picture in pictures[3:6]:
        picture.path.write_bytes(b"")
    errors = [batch.error for batch in batches(pictures, skip_bad=True) if batch.error is not None]
    assert "no picture of person 40 can be read" in str(errors[0])
    assert "40_1.png" in str(errors[0])
