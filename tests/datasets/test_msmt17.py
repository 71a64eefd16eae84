import pytest
from dataset_layouts import msmt17

from mgn_convert.datasets import read_dataset
from mgn_convert.errors import FileFormatError, UsageError


@pytest.mark.parametrize(
    ("version", "folders"), [("V1", ("train", "test")), ("V2", ("mask_train_v2", "mask_test_v2"))]
)
def test_both_versions_join_train_and_val(tmp_path, version, folders):
    people = read_dataset(msmt17(tmp_path / f"MSMT17_{version}", *folders))
    assert people.name == "MSMT17"
    assert [(p.identity, p.camera) for p in people.train] == [(0, 1), (1, 14)]
    assert people.train[0].path.is_relative_to(tmp_path / f"MSMT17_{version}" / folders[0])


def test_people_to_search_for_are_numbered_after_those_to_train_on(tmp_path):
    people = read_dataset(msmt17(tmp_path))
    assert [(p.identity, p.camera) for p in people.query] == [(2, 7)]
    assert [(p.identity, p.camera) for p in people.gallery] == [(2, 8), (3, 8)]


def test_missing_lists_and_folders_are_named(tmp_path):
    msmt17(tmp_path)
    (tmp_path / "list_val.txt").unlink()
    (tmp_path / "list_query.txt").unlink()
    with pytest.raises(UsageError, match=r"it lacks list_val.txt, list_query.txt"):
        read_dataset(tmp_path)


def test_lines_that_do_not_parse_are_shown_with_their_numbers(tmp_path):
    msmt17(tmp_path)
    with (tmp_path / "list_val.txt").open("a") as file:
        file.write("\n0001/no-camera.jpg 1\nno identity\n")
    with pytest.raises(FileFormatError) as caught:
        read_dataset(tmp_path)
    assert str(caught.value).startswith("2 lines that name no picture")
    assert "list_val.txt line 3: 0001/no-camera.jpg 1, list_val.txt line 4: no identity" in str(caught.value)


def test_listed_files_that_are_missing_are_counted_and_the_first_is_named(tmp_path):
    msmt17(tmp_path)
    lost = sorted((tmp_path / "test").rglob("*_08_*"))
    for path in lost:
        path.unlink()
    with pytest.raises(FileFormatError) as caught:
        read_dataset(tmp_path)
    assert str(caught.value).startswith("2 listed pictures are missing")
    assert str(lost[0]) in str(caught.value)


def test_an_empty_list_is_refused(tmp_path):
    msmt17(tmp_path)
    (tmp_path / "list_query.txt").write_text("")
    with pytest.raises(FileFormatError, match=r"list_query.txt lists no picture"):
        read_dataset(tmp_path)
