import hashlib

import numpy as np
import pytest
from PIL import Image

from mgn_convert.datasets import concerns, read_dataset
from mgn_convert.errors import UsageError
from mgn_reid.synthesis import make_dataset

SMALL = dict(identities=2, test_identities=2, cameras=3, pictures=2, distractors=4, size=(48, 24))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.jpg")
    }


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people") / "new"
    make_dataset(folder, **SMALL)
    return folder


def test_the_layout_is_that_of_market_1501(people):
    assert sorted(path.name for path in people.iterdir()) == [
        "bounding_box_test",
        "bounding_box_train",
        "query",
    ]
    assert sorted(path.name for path in (people / "query").iterdir()) == [
        f"000{person}_c{camera}s1_000001_00.jpg" for person in (3, 4) for camera in (1, 2, 3)
    ]
    assert len(list((people / "bounding_box_test").glob("-1_*"))) == 1
    found = read_dataset(people)
    counts = found.counts()
    assert [(c.people, c.pictures, c.cameras) for c in counts.values()] == [(2, 12, 3), (2, 6, 3), (2, 10, 3)]
    assert concerns(found) == []
    assert Image.open(found.train[0].path).size == (24, 48)


def test_workers_do_not_change_a_byte(people, tmp_path):
    make_dataset(tmp_path, **SMALL, workers=2)
    assert digests(tmp_path) == digests(people)


def test_a_larger_data_set_holds_the_pictures_of_a_smaller_one(people, tmp_path):
    more = {**SMALL, "test_identities": 3, "cameras": 4, "pictures": 3}
    make_dataset(tmp_path, **more)
    larger = digests(tmp_path)
    own = {
        name: value for name, value in digests(people).items() if "/0000_" not in name and "/-1_" not in name
    }
    assert len(own) == 24
    assert own.items() <= larger.items()


def test_another_seed_gives_other_people(people, tmp_path):
    make_dataset(tmp_path, **SMALL, seed=1)
    other = digests(tmp_path)
    assert other.keys() == digests(people).keys()
    assert not set(other.values()) & set(digests(people).values())


def test_nothing_is_written_over(people):
    before = digests(people)
    with pytest.raises(UsageError, match=r"is not empty\n.*overwritten\n.*name a new folder"):
        make_dataset(people, **SMALL)
    assert digests(people) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_interrupted_leaves_nothing(tmp_path, workers):
    def interrupt(done, total):
        assert 0 < done <= total == 24 + 4 + 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path / "a" / "b", **SMALL, workers=workers, advance=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [("identities", 0), ("test_identities", 0), ("cameras", 1), ("pictures", 1), ("distractors", -1),
     ("workers", 0), ("size", (31, 64)), ("size", (64, 15)), ("seed", -1)],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(tmp_path, option, value):
    with pytest.raises(UsageError, match="the least is"):
        make_dataset(tmp_path / "new", **{**SMALL, option: value})
    assert not (tmp_path / "new").exists()


def test_clothes_tell_people_apart_and_the_whole_picture_does_not(tmp_path):
    """How often the nearest picture by another camera is right: by rows of the middle, by mean colour."""
    make_dataset(tmp_path, **{**SMALL, "test_identities": 16, "pictures": 3, "size": (64, 32)})
    found = read_dataset(tmp_path)

    def hits(feature):
        gallery = [(feature(np.asarray(Image.open(p.path), float)), p) for p in found.gallery]
        right = 0
        for asked in found.query:
            vector = feature(np.asarray(Image.open(asked.path), float))
            others = [(v, p) for v, p in gallery if p.camera != asked.camera]
            nearest = min(others, key=lambda pair: np.linalg.norm(vector - pair[0]))[1]
            right += nearest.identity == asked.identity
        return right / len(found.query)

    middle = hits(lambda pixels: pixels[:, 10:22].reshape(8, 8, 12, 3).mean((1, 2)).ravel())
    mean = hits(lambda pixels: pixels.mean((0, 1)))
    assert 0.3 < middle < 0.95
    assert mean < 0.5 * middle
