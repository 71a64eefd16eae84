import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.parity.inputs import input_batches, pattern_batch, random_batch
from mgn_convert.preprocess import Preprocessing


def test_noise_is_seeded():
    assert (random_batch((3, 4, 5), 2, 7) == random_batch((3, 4, 5), 2, 7)).all()
    assert (random_batch((3, 4, 5), 2, 7) != random_batch((3, 4, 5), 2, 8)).any()


def test_patterns_tell_axes_and_channels_apart():
    impulses, ramps, constants = pattern_batch((3, 8, 6))
    assert (impulses != 0).sum() == 3 * 5
    assert (np.diff(ramps[0], axis=0) > 0).all()
    assert (np.diff(ramps[0], axis=1) == 0).all()
    assert (np.diff(ramps[1], axis=1) > 0).all()
    assert (np.diff(ramps[1], axis=0) == 0).all()
    assert len(np.unique(constants)) == 3


def test_batches_have_one_and_three_images_and_all_pictures(tmp_path):
    with pytest.raises(UsageError, match="holds no pictures"):
        dict(input_batches((3, 8, 6), 0, tmp_path, None))
    from PIL import Image

    for number in range(5):
        Image.new("RGB", (9, 9), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    batches = dict(input_batches((3, 8, 6), 0, tmp_path, None))
    assert [len(batch) for batch in batches.values()] == [1, 3, 3, 4, 1]
    assert all(batch.dtype == np.float32 and batch.shape[1:] == (3, 8, 6) for batch in batches.values())


def test_noise_has_the_range_of_pictures_where_it_is_known():
    raw = Preprocessing(8, 6, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
    batch = dict(input_batches((3, 8, 6), 0, None, raw))["random x3"]
    assert 110 < batch.mean() < 145
    assert 50 < batch.std() < 80
    assert batch.dtype == np.float32
    usual = dict(input_batches((3, 8, 6), 0, None, Preprocessing(8, 6)))["random x3"]
    assert abs(usual.mean()) < 0.5
    assert 0.9 < usual.std() < 1.3
