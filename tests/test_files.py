import pytest

from mgn_convert.errors import UsageError
from mgn_convert.files import staged, write_text


def test_files_appear_together(tmp_path):
    folder = tmp_path / "new" / "out"
    with staged(folder) as (scratch, publish):
        (scratch / "a").write_text("1")
        (scratch / "b").write_text("2")
        assert [p for p in folder.iterdir() if p.is_file()] == []
        publish()
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_a_failure(tmp_path, error):
    with pytest.raises(error), staged(tmp_path / "new" / "out") as (scratch, _):
        (scratch / "a").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays(tmp_path):
    (tmp_path / "old").write_text("x")
    with pytest.raises(ValueError, match="stop"), staged(tmp_path) as (scratch, _):
        (scratch / "old").write_text("y")
        raise ValueError("stop")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("old", "x")]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot write into"):
        write_text(tmp_path / "file" / "sub" / "report.json", "{}")


def test_a_full_device_is_one_message(tmp_path):
    with (
        pytest.raises(UsageError, match="cannot write into") as caught,
        staged(tmp_path / "out") as (scratch, _),
    ):
        (scratch / "net").symlink_to("/dev/full")
        with (scratch / "net").open("wb", buffering=0) as file:
            file.write(b"x")
    assert "No space left" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_takes_the_place_of_the_one_before(tmp_path):
    for content in ("old", "new"):
        with staged(tmp_path) as (scratch, publish):
            (scratch / "net" / "1").mkdir(parents=True)
            (scratch / "net" / "1" / content).write_text(content)
            publish()
    assert [p.name for p in tmp_path.rglob("*")] == ["net", "1", "new"]


def test_a_folder_that_is_not_published_leaves_the_one_before(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "old").write_text("old")
    with pytest.raises(KeyboardInterrupt), staged(tmp_path) as (scratch, _):
        (scratch / "net").mkdir()
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.rglob("*")] == ["net", "old"]
