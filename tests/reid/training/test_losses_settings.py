"""The losses section of a recipe."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mgn_reid.training.losses.settings import Centre, CrossEntropy, LossSettings, Triplet

LOSSES = TypeAdapter(list[LossSettings])


def test_kinds_tell_the_settings_apart():
    section = [
        {"kind": "cross-entropy"},
        {"kind": "triplet", "on": ["g1"]},
        {"kind": "centre", "on": "matrix"},
    ]
    found = LOSSES.validate_python(section)
    assert found == [CrossEntropy(), Triplet(on=("g1",)), Centre(on="matrix")]
    assert (found[0].on, found[0].layer, found[0].smoothing, found[0].bias) == ((), "linear", 0, True)
    assert (found[1].margin, found[1].mining, found[1].reduce) == (0.3, "hard", "mean")
    assert found[2].rate == 0.05


def test_null_is_the_soft_margin():
    (found,) = LOSSES.validate_python([{"kind": "triplet", "on": ["g1"], "margin": None}])
    assert found.margin is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "quadruplet"},
        {"on": ["g1"]},
        {"kind": "triplet"},
        {"kind": "triplet", "on": []},
        {"kind": "triplet", "on": ["g1"], "margin": -1},
        {"kind": "triplet", "on": ["g1"], "mining": "easy"},
        {"kind": "cross-entropy", "smoothing": 0.5},
        {"kind": "cross-entropy", "smooth": 0.1},
        {"kind": "cross-entropy", "weight": 0},
        {"kind": "centre", "on": "matrix", "rate": 1.5},
    ],
)
def test_what_no_loss_can_have_is_refused(wrong):
    with pytest.raises(ValidationError):
        LOSSES.validate_python([wrong])
