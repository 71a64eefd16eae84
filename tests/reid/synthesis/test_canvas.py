import numpy as np

from mgn_reid.synthesis.canvas import SHADOW, Canvas

BACKGROUND = np.full((20, 30, 3), 100, np.uint8)
EVEN = np.ones((20, 30), np.float32)
BOX = [(5, 4), (14, 4), (14, 11), (5, 11)]


def test_a_shape_covers_its_pixels_and_nothing_else():
    canvas = Canvas(30, 20)
    canvas.shape(BOX, canvas.material((200, 40, 10)))
    drawn = canvas.over(BACKGROUND, EVEN)
    assert (drawn[4:12, 5:15] == (200, 40, 10)).all()
    drawn[4:12, 5:15] = 100
    assert (drawn == 100).all()
    assert (BACKGROUND == 100).all()


def test_shade_and_light_scale_a_colour_up_to_white():
    canvas = Canvas(30, 20)
    canvas.shape(BOX, canvas.material((200, 40, 10)), 0.5)
    assert (canvas.over(BACKGROUND, EVEN)[6, 6] == (100, 20, 5)).all()
    assert (canvas.over(BACKGROUND, 4 * EVEN)[6, 6] == (255, 80, 20)).all()


def test_a_shadow_darkens_the_background_whatever_the_light():
    canvas = Canvas(30, 20)
    canvas.oval((10, 10), (5, 3), SHADOW, 0.6)
    drawn = canvas.over(BACKGROUND, 2 * EVEN)
    assert (drawn[10, 10] == 60).all()
    assert (drawn[0, 0] == 100).all()


def test_a_pattern_colours_its_own_material_only():
    canvas = Canvas(30, 20)
    canvas.shape([(0, 0), (29, 0), (29, 19), (0, 19)], canvas.material((1, 1, 1)))
    striped = canvas.material((200, 0, 0), (0, 0, 200), lambda x, y: (y % 2 == 0) & (x > 7))
    canvas.shape(BOX, striped)
    drawn = canvas.over(BACKGROUND, EVEN)
    assert (drawn[6, 8] == (0, 0, 200)).all()
    assert (drawn[7, 8] == (200, 0, 0)).all()
    assert (drawn[6, 6] == (200, 0, 0)).all()
    assert (drawn[16, 16] == 1).all()


def test_a_limb_joins_its_ends_with_round_joints():
    canvas = Canvas(30, 20)
    canvas.limb([(5, 10), (24, 10)], [4, 2], canvas.material((9, 9, 9)))
    covered = canvas.over(BACKGROUND, EVEN)[..., 0] == 9
    assert covered[10, 1:27].all()
    assert covered[6:15, 5].all()
    assert covered[8:13, 24].all()
    assert not covered[[5, 15], :].any()
    assert not covered[7, 24]
