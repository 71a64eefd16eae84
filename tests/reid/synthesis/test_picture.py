import numpy as np

from mgn_reid.synthesis.camera import Camera, scene
from mgn_reid.synthesis.picture import photograph

SIZE = (64, 32)


def pixels(*numbers, **options):
    return np.asarray(photograph(*numbers, SIZE, **options)[0], float)


def test_a_picture_is_named_by_its_numbers():
    first = pixels(0, 5, 1, 0)
    assert first.shape == (64, 32, 3)
    assert (first == pixels(0, 5, 1, 0)).all()
    for others in ((1, 5, 1, 0), (0, 6, 1, 0), (0, 5, 2, 0), (0, 5, 1, 1)):
        assert np.abs(first - pixels(*others)).mean() > 3


def test_every_size_shows_the_same_scene():
    small = photograph(0, 5, 1, 0, (64, 32))[0]
    large = photograph(0, 5, 1, 0, (192, 96))[0].resize((32, 64))
    difference = np.abs(np.asarray(small, float) - np.asarray(large, float)).mean()
    other = np.abs(pixels(0, 6, 1, 0) - np.asarray(large, float)).mean()
    assert difference < 0.6 * other


def test_a_camera_keeps_its_scene_and_its_quality():
    assert (scene(0, 1, 40, 80) == scene.__wrapped__(0, 1, 40, 80)).all()
    assert scene(0, 1, 40, 80).shape == (120, 160, 3)
    assert np.abs(scene(0, 1, 40, 80).astype(float) - scene(0, 2, 40, 80)).mean() > 5
    assert Camera.of(3, 1) == Camera.of(3, 1) != Camera.of(3, 2)
    assert photograph(0, 5, 2, 0, SIZE)[1] == photograph(0, 9, 2, 4, SIZE)[1] == Camera.of(0, 2).quality


def test_a_bad_cut_shows_less_of_the_person():
    """The middle of a picture varies between people; less so where most boxes miss them."""

    def spread(cut):
        middles = [pixels(0, i, 1, 0, cut=cut)[16:40, 12:20].mean((0, 1)) for i in range(40)]
        return np.std(middles, axis=0).mean()

    assert spread(cut=True) < 0.8 * spread(cut=False)
