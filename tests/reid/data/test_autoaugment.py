"""The policy's operations against their definitions."""

import numpy as np
import pytest
from PIL import Image

from mgn_reid.data.autoaugment import OPERATIONS, POLICY, autoaugmented

PICTURE = np.random.default_rng(0).integers(20, 200, (14, 10, 3), np.uint8)
IMAGE = Image.fromarray(PICTURE)


def applied(name, strength, sign=1):
    return np.asarray(OPERATIONS[name](IMAGE, strength, sign)).astype(int)


def test_the_policy_has_25_pairs_of_known_operations():
    assert len(POLICY) == 25
    for pair in POLICY:
        assert len(pair) == 2
        for name, probability, strength in pair:
            assert name in OPERATIONS
            assert 0 <= probability <= 1
            assert 0 <= strength <= 9


@pytest.mark.parametrize(
    ("name", "strength", "expected"),
    [
        ("invert", 0.5, 255 - PICTURE.astype(int)),
        ("posterize", 1.0, PICTURE & 0xF0),
        ("posterize", 0.0, PICTURE),
        ("solarize", 0.5, np.where(PICTURE < 128, PICTURE, 255 - PICTURE.astype(int))),
        ("solarize", 0.0, PICTURE),
        ("shear", 0.0, PICTURE),
        ("rotate", 0.0, PICTURE),
        ("color", 0.0, PICTURE),
    ],
)
def test_operations_of_pixels(name, strength, expected):
    np.testing.assert_array_equal(applied(name, strength), expected)


def test_autocontrast_stretches_each_channel_to_the_whole_range():
    found = applied("autocontrast", 0.0)
    assert (found.min((0, 1)) == 0).all()
    assert (found.max((0, 1)) >= 254).all()


def test_signs_go_both_ways():
    grey = PICTURE.mean(2, keepdims=True)

    def colourful(pixels):
        return np.abs(pixels - pixels.mean(2, keepdims=True)).mean()

    assert colourful(applied("color", 1.0, -1)) < 0.2 * colourful(PICTURE.astype(int))
    assert colourful(applied("color", 0.3, 1)) > colourful(PICTURE.astype(int))
    assert np.ptp(applied("contrast", 1.0, -1)) < 0.2 * np.ptp(grey)
    left, right = applied("rotate", 1.0, 1), applied("rotate", 1.0, -1)
    assert not np.array_equal(left, right)


def test_a_shear_moves_rows_by_their_height():
    image = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8) * 6, (20, 1))[:, :, None].repeat(3, 2))
    sheared = np.asarray(OPERATIONS["shear"](image, 1.0, 1)).astype(float)[:, 5:25, 0]
    slope = np.diff(sheared[:, 0]).mean()
    assert slope == pytest.approx(6 * 0.3, abs=0.1)


def test_what_is_drawn_depends_on_the_generator_alone():
    made = [autoaugmented(PICTURE, np.random.default_rng(s)) for s in (*range(60), *range(60))]
    for one, other in zip(made[:60], made[60:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({each.tobytes() for each in made}) > 12
    assert all(each.shape == PICTURE.shape and each.dtype == np.uint8 for each in made)
