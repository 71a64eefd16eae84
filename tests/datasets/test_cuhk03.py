import builtins

import numpy as np
import pytest
from dataset_layouts import CUHK03, cuhk03_config, cuhk03_picture, cuhk03_pictures, save_picture
from PIL import Image

from mgn_convert.datasets import read_dataset
from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError

CONFIG = "cuhk03_new_protocol_config_{}.mat"


@pytest.fixture
def folder(tmp_path):
    """Both protocols beside the folder that the pictures unpack into."""
    for boxes in ("detected", "labeled"):
        cuhk03_config(tmp_path / CONFIG.format(boxes))
    (tmp_path / "cuhk03_release").mkdir()
    cuhk03_pictures(tmp_path / "cuhk03_release" / "cuhk-03.mat")
    return tmp_path


def told(pictures):
    return [(p.path.name, p.identity, p.camera) for p in pictures]


@pytest.mark.parametrize("boxes", ["detected", "labeled"])
def test_the_protocol_tells_parts_people_and_cameras(folder, boxes):
    people = read_dataset(folder, f"cuhk03-np-{boxes}")
    assert people.name == f"CUHK03-np {boxes}"
    assert told(people.train) == [("1_001_1_01.png", 1, 1), ("1_001_2_06.png", 1, 2)]
    assert told(people.query) == [("1_002_1_02.png", 2, 1), ("3_001_1_01.png", 843, 1)]
    assert told(people.gallery) == [("1_002_2_07.png", 2, 2), ("3_001_2_10.png", 843, 2)]


def test_the_pictures_are_those_of_the_mat_file(folder):
    people = read_dataset(folder, "cuhk03-np-labeled")
    for picture in (*people.train, *people.query, *people.gallery):
        assert picture.path.parent == folder / "cuhk03_release" / "images_labeled"
        np.testing.assert_array_equal(np.asarray(Image.open(picture.path)), cuhk03_picture(picture.path.name))


def test_pictures_are_extracted_once(folder):
    first = read_dataset(folder, "cuhk03-np-detected")
    (folder / "cuhk03_release" / "cuhk-03.mat").unlink()
    assert read_dataset(folder, "cuhk03-np-detected") == first


def test_extracted_pictures_serve_without_the_mat_file(tmp_path):
    cuhk03_config(tmp_path / CONFIG.format("detected"))
    for name in CUHK03:
        save_picture(tmp_path / "images_detected" / name)
    people = read_dataset(tmp_path)  # one protocol only, hence no need to name the kind
    assert people.name == "CUHK03-np detected"
    assert people.train[0].path == tmp_path / "images_detected" / "1_001_1_01.png"


def test_the_release_folder_serves_too(folder):
    assert len(read_dataset(folder / "cuhk03_release", "cuhk03-np-detected").query) == 2


def test_two_protocols_want_a_kind(folder):
    with pytest.raises(UsageError) as caught:
        read_dataset(folder)
    assert "(cuhk03-np-detected), " in str(caught.value)
    assert "name the kind" in str(caught.value)


def test_a_missing_protocol_is_named(folder):
    for boxes in ("detected", "labeled"):
        (folder / CONFIG.format(boxes)).unlink()
    with pytest.raises(UsageError, match=r"it lacks cuhk03_new_protocol_config_labeled.mat"):
        read_dataset(folder, "cuhk03-np-labeled")


def test_missing_pictures_are_named(folder):
    (folder / "cuhk03_release" / "cuhk-03.mat").unlink()
    with pytest.raises(UsageError, match=r"neither cuhk-03.mat nor a folder images_labeled"):
        read_dataset(folder, "cuhk03-np-labeled")


def test_a_lost_png_is_named(folder):
    people = read_dataset(folder, "cuhk03-np-detected")
    people.query[0].path.unlink()
    with pytest.raises(FileFormatError, match="1 pictures are missing") as caught:
        read_dataset(folder, "cuhk03-np-detected")
    assert str(people.query[0].path) in str(caught.value)


@pytest.mark.parametrize("name", ["cuhk03_release/cuhk-03.mat", CONFIG.format("detected")])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_truncated_files_are_refused_and_leave_nothing(folder, name, kept):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(kept * len(data))])
    before = sorted(folder.rglob("*"))
    with pytest.raises(FileFormatError, match=rf"{name} cannot be read"):
        read_dataset(folder, "cuhk03-np-detected")
    assert sorted(folder.rglob("*")) == before


def test_lacking_fields_are_named(folder):
    cuhk03_config(folder / CONFIG.format("detected"), lacking="gallery_idx")
    with pytest.raises(FileFormatError, match="lacks gallery_idx"):
        read_dataset(folder, "cuhk03-np-detected")
    cuhk03_pictures(folder / "cuhk03_release" / "cuhk-03.mat", ["labeled"])
    cuhk03_config(folder / CONFIG.format("detected"))
    with pytest.raises(FileFormatError, match=r"cuhk-03.mat lacks detected"):
        read_dataset(folder, "cuhk03-np-detected")


def test_pictures_that_the_mat_file_lacks_are_named(folder):
    names = [*list(CUHK03)[:-1], "5_002_2_10.png"]
    cuhk03_config(folder / CONFIG.format("detected"), names=names)
    with pytest.raises(FileFormatError, match="1 pictures are not in") as caught:
        read_dataset(folder, "cuhk03-np-detected")
    assert "5_002_2_10.png" in str(caught.value)
    assert not (folder / "cuhk03_release" / "images_detected").exists()


def test_names_that_do_not_parse_are_shown(folder):
    cuhk03_config(folder / CONFIG.format("detected"), names=["a.png", *list(CUHK03)[1:]])
    with pytest.raises(FileFormatError, match=r"as 1_001_1_01.png\n  got      'a.png'"):
        read_dataset(folder, "cuhk03-np-detected")


@pytest.mark.parametrize("package", ["scipy", "h5py"])
def test_absent_packages_are_named_with_their_extra(folder, package, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingEngineError, match=rf"need {package}\n.*mgn-convert\[train\]"):
        read_dataset(folder, "cuhk03-np-detected")
