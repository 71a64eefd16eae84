"""Each change on its own, with everything else switched off."""

import numpy as np
import pytest

from mgn_convert.preprocess import Preprocessing
from mgn_reid.data.augment import IMAGENET_MEAN, Augment, erase, padded_crop
from mgn_reid.training.sections import Augmentation, Erase

NORMALISED = Preprocessing(12, 6, resize="bilinear")
RAW = Preprocessing(12, 6, resize="bilinear", scale=1.0, mean=(0, 0, 0), std=(1, 1, 1))
PICTURE = np.random.default_rng(0).integers(0, 256, (20, 9, 3), np.uint8)


def augment(preprocessing=NORMALISED, seed=0, **settings):
    settings = Augmentation.model_validate({"flip": 0.0, **settings})
    return Augment(preprocessing, settings)(PICTURE, np.random.default_rng(seed))


def plain(preprocessing=NORMALISED):
    return preprocessing.applied(PICTURE[None])[0]


def test_nothing_random_is_the_preprocessing_itself():
    found = augment()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, plain())


def test_a_mirrored_picture_is_the_preprocessed_one_from_right_to_left():
    np.testing.assert_array_equal(augment(flip=1.0), plain()[:, :, ::-1])


def test_half_of_the_pictures_are_mirrored():
    mirrored = sum(np.array_equal(augment(seed=s, flip=0.5), plain()[:, :, ::-1]) for s in range(400))
    assert 150 < mirrored < 250


@pytest.mark.parametrize("preprocessing", [NORMALISED, RAW])
def test_padding_is_black_and_the_crop_of_the_old_size_goes_everywhere(preprocessing):
    black = preprocessing.applied(np.zeros_like(PICTURE)[None])[0][:, :1, :1]
    wide = np.broadcast_to(black, (3, 16, 10)).copy()
    wide[:, 2:14, 2:8] = plain(preprocessing)
    places = set()
    for seed in range(300):
        found = augment(preprocessing, seed, pad=2)
        fits = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.array_equal(found, wide[:, top : top + 12, left : left + 6])
        ]
        assert len(fits) == 1
        places.add(fits[0])
    assert len(places) == 25


def test_padded_crop_leaves_its_source_as_it_was():
    pixels = plain()
    padded_crop(pixels, 3, np.float32(0), np.random.default_rng(0))
    np.testing.assert_array_equal(pixels, plain())


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_mean_fills_with_the_mean_colour_as_the_network_takes_it(color):
    own = Preprocessing(12, 6, color=color, scale=1.0, mean=(3, 2, 1), std=(2, 3, 4))
    found = augment(own, erase=dict(probability=1.0, fill="mean", area=(0.3, 0.3)))
    ordered = np.array(IMAGENET_MEAN if color == "RGB" else IMAGENET_MEAN[::-1])
    wanted = (ordered - (3, 2, 1)) / (2, 3, 4)
    erased = (found != plain(own)).all(axis=0)
    assert erased.any()
    np.testing.assert_allclose(found[:, erased].T, np.broadcast_to(wanted, (erased.sum(), 3)), rtol=1e-6)


def test_erased_rectangles_keep_to_their_bounds():
    settings = Erase.model_validate(dict(probability=1.0, area=(0.1, 0.3), aspect=(0.5, 2.0)))
    areas, aspects = [], []
    for seed in range(300):
        pixels = np.ones((3, 120, 60), np.float32)
        erase(pixels, settings, np.float32(9), np.random.default_rng(seed))
        rows, columns = np.nonzero(pixels[0] == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height * width == len(rows)
        areas.append(len(rows) / 7200)
        aspects.append(height / width)
    assert min(areas) > 0.09
    assert max(areas) < 0.31
    assert min(aspects) > 0.45
    assert max(aspects) < 2.2
    assert np.ptp(areas) > 0.15
    assert np.ptp(aspects) > 1


def test_a_rectangle_that_never_fits_changes_nothing():
    pixels = np.ones((3, 12, 6), np.float32)
    settings = Erase.model_validate(dict(probability=1.0, area=(1.0, 1.0), aspect=(1.0, 1.0)))
    erase(pixels, settings, np.float32(0), np.random.default_rng(0))
    assert (pixels == 1).all()


def test_the_same_generator_gives_the_same_picture():
    everything = dict(autoaugment=1.0, flip=0.5, pad=3, erase=dict(probability=0.5))
    np.testing.assert_array_equal(augment(seed=7, **everything), augment(seed=7, **everything))
    assert len({augment(seed=s, **everything).tobytes() for s in range(20)}) > 15
