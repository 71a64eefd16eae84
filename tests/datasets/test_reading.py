import pytest
from dataset_layouts import market, msmt17, touch

from mgn_convert.datasets import KINDS, read_dataset
from mgn_convert.errors import UsageError


def test_the_folder_above_serves(tmp_path):
    market(tmp_path / "Market-1501-v15.09.15")
    (tmp_path / "notes").mkdir()
    assert read_dataset(tmp_path).name == "Market-1501"


def test_several_data_sets_want_a_choice(tmp_path):
    market(tmp_path / "Market-1501-v15.09.15")
    msmt17(tmp_path / "MSMT17_V1")
    with pytest.raises(UsageError) as caught:
        read_dataset(tmp_path)
    assert f"{tmp_path / 'MSMT17_V1'} (msmt17), {tmp_path / 'Market-1501-v15.09.15'} (market1501)" in str(
        caught.value
    )
    assert read_dataset(tmp_path, "msmt17").name == "MSMT17"


def test_an_unknown_kind_is_answered_with_the_list(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_dataset(tmp_path, "market")
    assert ", ".join(KINDS) in str(caught.value)
    assert set(KINDS) == {
        "market1501", "dukemtmc", "msmt17", "cuhk03-np-detected", "cuhk03-np-labeled", "folders",
    }  # fmt: skip


def test_a_folder_without_data_set_is_refused_with_what_it_holds(tmp_path):
    with pytest.raises(UsageError, match="an empty folder"):
        read_dataset(tmp_path)
    touch(tmp_path, ["a.txt"])
    with pytest.raises(UsageError, match=r"holds no data set\n(.*\n)*  got      a.txt"):
        read_dataset(tmp_path)
    with pytest.raises(UsageError, match="holds no data set of kind msmt17"):
        read_dataset(market(tmp_path / "m"), "msmt17")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match=f"there is no folder {tmp_path / 'x'}"):
        read_dataset(tmp_path / "x")
