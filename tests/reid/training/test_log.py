"""Lines and curves go into files; what cannot be written is one message."""

import pytest

from mgn_convert.errors import UsageError
from mgn_reid.training.log import Log


def test_lines_go_to_the_file_with_their_time_and_to_standard_output_without(tmp_path, capsys):
    for text in ("one", "two"):
        Log(tmp_path).line(text)
    assert capsys.readouterr().out == "one\ntwo\n"
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["one", "two"]
    assert all(len(line.split("  ")[0]) == len("2026-01-01 00:00:00") for line in lines)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    log = Log(tmp_path)
    (tmp_path / "train.log").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*train\.log"):
        log.line("text")
    with pytest.raises(UsageError, match="cannot write") as caught:
        Log(tmp_path / "none")
    assert caught.value.because == "No such file or directory"
