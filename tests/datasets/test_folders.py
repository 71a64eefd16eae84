import pytest
from dataset_layouts import touch

from mgn_convert.datasets import read_dataset
from mgn_convert.errors import FileFormatError, UsageError


def told(pictures):
    return [(p.identity, p.camera) for p in pictures]


def test_folders_called_by_numbers_are_identities(tmp_path):
    touch(tmp_path / "train", ["12/a_c3.jpg", "3/b_c1_7.png", "-1/x_c1.jpg"])
    people = read_dataset(tmp_path)
    assert told(people.train) == [(12, 3), (3, 1)]
    assert (people.query, people.gallery) == ((), ())
    assert people.name == tmp_path.name


def test_folders_called_by_names_are_numbered_alike_in_every_part(tmp_path):
    touch(tmp_path / "train", ["zoe/1_c1.jpg"])
    touch(tmp_path / "query", ["ben/1_c1.jpg"])
    touch(tmp_path / "gallery", ["ada/1_c2.jpg", "ben/deep/2_c2.jpg"])
    people = read_dataset(tmp_path)
    assert told((*people.train, *people.query, *people.gallery)) == [(3, 1), (2, 1), (1, 2), (2, 2)]


def test_pictures_without_a_camera_have_one_each(tmp_path):
    touch(tmp_path / "query", ["ada/1.jpg", "ada/2.jpg"])
    touch(tmp_path / "gallery", ["ada/3_c4.jpg", "ada/4.jpg"])
    people = read_dataset(tmp_path)
    cameras = [p.camera for p in (*people.query, *people.gallery)]
    assert cameras[2] == 4
    assert len(set(cameras)) == 4


def test_parts_with_pictures_of_their_own_are_told_by_names(tmp_path):
    touch(tmp_path / "query", ["0001_c1_1.jpg"])
    touch(tmp_path / "gallery", ["0001_c2_1.jpg", "-1_c2_1.jpg", "0002_c10_1.jpg"])
    people = read_dataset(tmp_path)
    assert told(people.gallery) == [(1, 2), (2, 10)]


def test_a_bare_folder_of_names_is_for_training(tmp_path):
    touch(tmp_path, ["0001_c1_1.jpg", "0001_c2_1.jpg"])
    people = read_dataset(tmp_path)
    assert told(people.train) == [(1, 1), (1, 2)]
    touch(tmp_path, ["picture.jpg"])
    with pytest.raises(FileFormatError, match="1 names that tell no identity"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(("present", "missing"), [("query", "gallery"), ("gallery", "query")])
def test_half_a_pair_to_search_in_is_refused(tmp_path, present, missing):
    touch(tmp_path / "train", ["1/1.jpg"])
    touch(tmp_path / present, ["1/1.jpg"])
    with pytest.raises(UsageError, match=f"it lacks {missing}"):
        read_dataset(tmp_path)


def test_an_empty_part_is_refused(tmp_path):
    touch(tmp_path / "gallery", ["1/1.jpg"])
    (tmp_path / "query" / "1").mkdir(parents=True)
    with pytest.raises(UsageError, match="query holds no pictures"):
        read_dataset(tmp_path)
