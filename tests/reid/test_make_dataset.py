from click.testing import CliRunner

from mgn_reid.cli import main


def test_the_command_makes_the_data_set_and_prints_its_counts(tmp_path):
    words = (
        "--identities 3 --test-identities 2 --cameras 2 --pictures 2 --distractors 5 --height 48 --width 24"
    )
    done = CliRunner().invoke(main, ["make-dataset", str(tmp_path / "new"), *words.split(), "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "train    3 people, 12 pictures, 2 cameras",
        "query    2 people, 4 pictures, 2 cameras",
        "gallery  2 people, 9 pictures, 2 cameras",
    ]


def test_a_folder_that_holds_something_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    done = CliRunner().invoke(main, ["make-dataset", str(tmp_path)])
    assert done.exit_code == 2
    assert f"{tmp_path} is not empty" in done.output
    assert "try      name a new folder" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(main, ["make-dataset", str(tmp_path / "file" / "new")])
    assert done.exit_code == 2
    assert "cannot write into" in done.output
