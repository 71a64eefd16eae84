import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.parity.inputs import input_batches, pattern_batch, random_batch


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
