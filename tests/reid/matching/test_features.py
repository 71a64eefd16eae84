import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_features import RECORD, draw_features

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.preprocess import Preprocessing
from mgn_reid.matching.features import SCHEMA, Features, Record


def stored(path, **changes):
    """A features file with some arrays changed; None leaves one out."""
    draw_features("a", people=2, cameras=2, each=1).save(path)
    with np.load(path) as loaded:
        arrays = {**loaded, **changes}
    with path.open("wb") as file:
        np.savez(file, **{key: value for key, value in arrays.items() if value is not None})
    return path


def record_with(**changes):
    fields = {"schema": SCHEMA, "root": "/people", **RECORD.to_json(), **changes}
    return np.array(json.dumps(fields))


@pytest.mark.parametrize("preprocessing", [None, Preprocessing(48, 16, mean=(0.5, 0.4, 0.3), color="BGR")])
def test_a_file_gives_back_what_was_saved(tmp_path, preprocessing):
    record = Record("best.pth", "0f" * 32, "mgn pool=max", True, preprocessing)
    saved = draw_features("a", record=record, root=tmp_path)
    saved = replace(saved, names=("ä/ b.jpg", *saved.names[1:]))
    saved.identities[0] = saved.cameras[0] = -1
    saved.save(tmp_path / "new" / "people.npz")
    loaded = Features.load(tmp_path / "new" / "people.npz")
    for key in ("embeddings", "identities", "cameras"):
        np.testing.assert_array_equal(getattr(loaded, key), getattr(saved, key), strict=True)
    assert (loaded.names, loaded.root, loaded.record) == (saved.names, tmp_path, record)
    assert loaded.picture(0) == tmp_path / "ä" / " b.jpg"
    assert (len(loaded), loaded.dimension) == (36, 24)


def test_the_file_holds_what_its_description_says(tmp_path):
    features = draw_features("a")
    features.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as loaded:
        assert set(loaded) == {"embeddings", "names", "identities", "cameras", "record"}
        assert loaded["names"].tolist() == list(features.names)
        record = json.loads(str(loaded["record"]))
    assert record == {
        "schema": "mgn-reid/features/1",
        "root": "/people",
        "model": "small.onnx",
        "sha256": "ab" * 32,
        "network": "",
        "flip": False,
        "preprocessing": None,
    }


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"):
        draw_features("a").save(tmp_path / "file" / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


UNIT = np.eye(4, 24, dtype=np.float32)
NOT_A_NUMBER = np.where(np.arange(4)[:, None] == 2, np.nan, UNIT).astype(np.float32)
OTHERS = {
    "no names": (dict(names=None), "it has no names"),
    "no record": (dict(record=None), "it has no record"),
    "float64": (dict(embeddings=UNIT.astype(np.float64)), "float32 (N, D), not float64 (4, 24)"),
    "one axis": (dict(embeddings=UNIT[0]), "float32 (N, D)"),
    "nothing": (dict(embeddings=UNIT[:0], names=np.array([], np.str_)), "not float32 (0, 24)"),
    "NaN": (dict(embeddings=NOT_A_NUMBER), "the squared length of embedding 2 is nan, not 1"),
    "another length": (dict(embeddings=UNIT * np.float32(1.1)), "of embedding 0 is 1.21, not 1"),
    "fewer rows": (dict(embeddings=UNIT[:3]), "3 embeddings, and names of shape (4,)"),
    "fewer identities": (dict(identities=np.ones(3, np.int64)), "identities of shape (3,)"),
    "fewer cameras": (dict(cameras=np.ones((4, 1), np.int64)), "cameras of shape (4, 1)"),
    "float identities": (dict(identities=np.ones(4)), "identities are int64"),
    "negative cameras": (dict(cameras=np.full(4, -2)), "cameras are int64 and at least -1"),
    "numbers for names": (dict(names=np.arange(4)), "names are text, not int64"),
    "a name twice": (dict(names=np.array(["a", "b", "a", "c"])), "a name is there twice"),
    "a name outside": (dict(names=np.array(["a", "b", "c/../../d", "e"])), "'c/../../d' is no path"),
    "an absolute name": (dict(names=np.array(["a", "b", "/d", "e"])), "'/d' is no path below a root"),
    "an empty name": (dict(names=np.array(["a", "b", "", "e"])), "'' is no path"),
    "one path in two ways": (dict(names=np.array(["a/b", "a//b", "c", "d"])), "'a//b' is no path"),
    "pickled names": (dict(names=np.array(["a", 1, "b", "c"], object)), "allow_pickle"),
    "another schema": (dict(record=record_with(schema="mgn-reid/features/2")), "features/2"),
    "no JSON": (dict(record=np.array("{")), "its record is broken: JSONDecodeError"),
    "a list": (dict(record=np.array("[]")), "its record is broken: TypeError"),
    "a record without flip": (dict(record=np.array(json.dumps({"schema": SCHEMA, "root": "/"}))), "KeyError"),
    "flip in words": (dict(record=record_with(flip="no")), "flip is true or false"),
    "a number for a hash": (dict(record=record_with(sha256=5)), "sha256 and network are text"),
    "unknown preprocessing": (dict(record=record_with(preprocessing={"mean": [0], "std": [1]})), "TypeError"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_file_that_breaks_a_rule_is_refused_with_the_rule(tmp_path, case):
    changes, rule = OTHERS[case]
    with pytest.raises(FileFormatError, match=r"a.npz is not a features file") as caught:
        Features.load(stored(tmp_path / "a.npz", **changes))
    assert rule in caught.value.because
    assert caught.value.remedy == "make one with mgn-reid extract"


def test_the_unchanged_file_of_these_cases_is_taken(tmp_path):
    assert len(Features.load(stored(tmp_path / "a.npz", unknown=np.arange(3)))) == 4


def foreign_files():
    array = io.BytesIO()
    np.save(array, UNIT)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("embeddings.npy", b"no array")
        for name in ("names", "identities", "cameras", "record"):
            file.writestr(f"{name}.npy", array.getvalue())
    return {
        "empty": b"",
        "text": b"a,b\n1,2\n",
        "a single array": array.getvalue(),
        "zip": archive.getvalue(),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "a single array", "zip"])
def test_a_foreign_file_is_refused(tmp_path, kind):
    (tmp_path / "a.npz").write_bytes(foreign_files()[kind])
    with pytest.raises(FileFormatError, match=r"a.npz is not a features file"):
        Features.load(tmp_path / "a.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"there is no features file .*b.npz"):
        Features.load(tmp_path / "b.npz")


def test_truncated_and_damaged_files_are_refused_or_still_hold_every_number(tmp_path):
    """Bytes that no checksum covers, such as dates, may change without harm."""
    path = tmp_path / "a.npz"
    features = draw_features("a", people=2, cameras=2, each=1)
    features.save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [whole[:length] for length in random.integers(0, len(whole), 40)]
    for place, value in zip(random.integers(0, len(whole), 300), random.integers(1, 256, 300), strict=True):
        damaged.append(whole[:place] + bytes([whole[place] ^ int(value)]) + whole[place + 1 :])
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            loaded = Features.load(path)
        except FileFormatError:
            refused += 1
            continue
        np.testing.assert_array_equal(loaded.embeddings, features.embeddings)
        assert (loaded.names, loaded.record) == (features.names, RECORD)
    assert refused > 200


def test_a_damaged_compressed_file_is_refused(tmp_path):
    path = stored(tmp_path / "a.npz")
    with np.load(path) as loaded:
        arrays = dict(loaded)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    assert len(Features.load(path)) == 4
    content = bytearray(path.read_bytes())
    content[120:160] = bytes(255 for _ in range(40))
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"a.npz is not a features file"):
        Features.load(path)


ONE = Record("one.pth", "1" * 64, "mgn pool=max", False, Preprocessing(384, 128))


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        (dict(sha256="2" * 64), "different models", "--other-model"),
        (dict(network="mgn pool=avg"), "different models", "--other-model"),
        (dict(flip=True), "mirror images' embeddings", "--flip"),
        (dict(preprocessing=Preprocessing(256, 128)), "preprocessed differently", "extract both again"),
    ],
)
def test_embeddings_that_cannot_be_compared_are_refused_with_the_remedy(change, what, remedy):
    other = replace(ONE, **change)
    for pair in ((ONE, other), (other, ONE)):
        with pytest.raises(UsageError, match=what) as caught:
            pair[0].check_comparable(pair[1])
        assert remedy in caught.value.remedy
    ONE.check_comparable(replace(ONE, model="moved.pth"))


def test_another_file_of_the_network_is_allowed_on_demand_but_not_other_mirror_images():
    other = Record("one.onnx", "3" * 64, "", False, None)
    ONE.check_comparable(other, other_model=True)
    with pytest.raises(UsageError, match="mirror images' embeddings"):
        ONE.check_comparable(replace(other, flip=True), other_model=True)


def test_different_hashes_are_shown_in_short():
    with pytest.raises(UsageError) as caught:
        ONE.check_comparable(replace(ONE, sha256="2" * 64))
    assert caught.value.got == f"one.pth mgn pool=max ({'1' * 12}) and one.pth mgn pool=max ({'2' * 12})"


def test_embeddings_of_another_length_are_refused():
    with pytest.raises(UsageError, match="different lengths") as caught:
        draw_features("a").check_comparable(draw_features("b", dimension=12), other_model=True)
    assert caught.value.got == "24 and 12"


def test_a_picture_is_found_below_the_root():
    assert draw_features("a").picture(1) == Path("/people/a/0001_c2_001.jpg")
