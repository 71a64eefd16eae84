"""Factors at chosen iterations, by hand."""

import math

import pytest
from pydantic import TypeAdapter

from mgn_reid.training.schedule import factor
from mgn_reid.training.sections import Schedule


def schedule(**settings):
    return TypeAdapter(Schedule).validate_python(settings)


@pytest.mark.parametrize(
    ("iteration", "wanted"), [(0, 1), (13 * 3 - 1, 1), (13 * 3, 0.1), (13 * 5 - 1, 0.1), (13 * 5, 0.01)]
)
def test_steps_fall_after_their_epochs(iteration, wanted):
    made = schedule(kind="steps", at=(3, 5), factor=0.1)
    assert factor(made, iteration, 13) == pytest.approx(wanted)


def test_every_step_falls_on_its_own_iteration_whatever_the_length_of_an_epoch():
    made = schedule(kind="steps", at=(320,))
    for per_epoch in range(1, 300):
        assert factor(made, 320 * per_epoch, per_epoch) == 0.1
        assert factor(made, 320 * per_epoch - 1, per_epoch) == 1.0


def test_steps_of_iterations_do_not_care_for_epochs():
    made = schedule(kind="steps", at=(40, 60), unit="iterations")
    assert [factor(made, i, 7) for i in (39, 40, 59)] == [1, 0.1, 0.1]


@pytest.mark.parametrize(("epoch", "share"), [(0, 0), (30, 0), (45, 0.5), (60, 1), (90, 1), (37.5, 0.25)])
def test_cosine_falls_between_its_ends_to_its_floor(epoch, share):
    made = schedule(kind="cosine", begin=30, until=60, floor=0.002)
    wanted = 0.002 + 0.998 * (1 + math.cos(math.pi * share)) / 2
    assert factor(made, round(epoch * 10), 10) == pytest.approx(wanted)


def test_warm_up_rises_in_a_line_and_multiplies_the_rest():
    made = schedule(kind="constant", warmup={"iterations": 20, "start": 0.1})
    found = [factor(made, i, 5) for i in (0, 10, 20, 21)]
    assert found == pytest.approx([0.1, 0.55, 1, 1])
    both = schedule(kind="steps", at=(2,), warmup={"iterations": 20, "start": 0.1})
    assert factor(both, 10, 5) == pytest.approx(0.055)
