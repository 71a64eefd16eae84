import math
from dataclasses import replace

import numpy as np
import pytest

from mgn_reid.synthesis.canvas import Canvas
from mgn_reid.synthesis.figure import Figure, Pose
from mgn_reid.synthesis.person import Garment, Person

GREEN, BLUE, RED = (0, 200, 0), (0, 0, 200), (200, 0, 0)
SIDES = {"front": 0.0, "right": math.pi / 2, "back": math.pi, "left": -math.pi / 2}
BARE = replace(
    Person.of(0, 1),
    skin=(200, 200, 200), hair=(90, 90, 90), haircut="short", hat="none", opening=None, bag="none",
    backpack=None, shoes=(90, 90, 90), skirt=False, breadth=1.0, tail=0.1,
    upper=Garment(GREEN, RED, "plain", 1.0), lower=Garment(BLUE, RED, "plain", 1.0),
)  # fmt: skip


def seen(person, turn):
    """The shares of green, blue and red on a picture of 100 x 200."""
    canvas = Canvas(100, 200)
    pose = Pose((50, 195), 185, turn, stride=0.05, swing=0.05, lean=0.0, squeeze=0.9)
    Figure(canvas, person, pose).draw()
    drawn = canvas.over(np.full((200, 100, 3), 255, np.uint8), np.ones((200, 100), np.float32)).astype(int)
    return [(drawn[..., c] - np.delete(drawn, c, 2).max(2) > 60).mean() for c in (1, 2, 0)]


@pytest.mark.parametrize("side", SIDES)
def test_clothes_are_seen_from_every_side(side):
    upper, lower, second = seen(BARE, SIDES[side])
    assert 0.07 < upper < 0.3
    assert 0.07 < lower < 0.3
    assert second == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("part", ["upper", "lower"])
def test_short_clothes_leave_skin(side, part):
    short = replace(BARE, **{part: replace(getattr(BARE, part), length=0.3)})
    whole, less = seen(BARE, SIDES[side]), seen(short, SIDES[side])
    index = ("upper", "lower").index(part)
    assert less[index] < whole[index] - 0.005


@pytest.mark.parametrize("pattern", ["stripes", "pinstripes", "checks", "band", "yoke", "logo", "dots"])
@pytest.mark.parametrize("side", ["front", "back"])
def test_patterns_are_seen_from_both_sides(pattern, side):
    patterned = replace(BARE, upper=Garment(GREEN, RED, pattern, 1.0))
    upper, _, second = seen(patterned, SIDES[side])
    assert 0.003 < second < 0.15
    assert upper > 0.03


@pytest.mark.parametrize("pattern", ["side stripe", "checks", "hem"])
def test_patterns_of_trousers_and_skirts(pattern):
    for skirt in (False, True):
        patterned = replace(BARE, skirt=skirt, lower=Garment(BLUE, RED, pattern, 0.85))
        _, lower, second = seen(patterned, 0.0)
        assert second > 0.002
        assert lower > 0.03


def test_a_backpack_is_seen_best_from_behind():
    laden = replace(BARE, backpack=RED)
    shares = {side: seen(laden, turn)[2] for side, turn in SIDES.items()}
    assert shares["back"] > 0.05
    assert shares["left"] > shares["front"] / 2 > 0


def test_an_open_jacket_shows_its_shirt_from_the_front_only():
    opened = replace(BARE, opening=RED)
    assert seen(opened, SIDES["front"])[2] > 0.015
    assert seen(opened, SIDES["back"])[2] == 0


@pytest.mark.parametrize("bag", ["hand", "shoulder", "case"])
def test_bags_are_hidden_from_one_side_at_most(bag):
    carrying = replace(BARE, bag=bag, bag_colour=RED, bag_side=1)
    shares = sorted(seen(carrying, turn)[2] for turn in SIDES.values())
    assert shares[1] > 0.005


def test_a_hat_covers_hair():
    for hat in ("cap", "beanie", "brim"):
        assert seen(replace(BARE, hat=hat, hat_colour=RED), 0.0)[2] > 0.003


def test_a_person_is_the_same_whenever_asked_and_nobody_else():
    assert Person.of(0, 7) == Person.of(0, 7)
    people = [Person.of(0, i) for i in range(60)] + [Person.of(1, i) for i in range(60)]
    assert len({(p.upper, p.lower, p.bag, p.backpack) for p in people}) == 120
