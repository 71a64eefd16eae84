import json

import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.graph.types import Origin
from mgn_convert.manifest import Artefact, Manifest, Tensor, file_entry, find_manifest, manifest_path
from mgn_convert.preprocess import Preprocessing


def example(text):
    artefact = Artefact(
        "caffe",
        "portable",
        {text.name: file_entry(text, main=True)},
        (Tensor("conv1", {"blob": "conv1"}, (Origin("conv1", "conv1", "net.py:3"),)),),
        ("conv1",),
    )
    return Manifest("net", "data", (3, 8, 4), Preprocessing(8, 4), {"model": "net.pth"}, {"caffe": artefact})


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text('name: "net"')
    return path


def test_round_trip(text):
    saved = example(text)
    saved.save(manifest_path(text))
    assert find_manifest(text, "caffe") == (saved, saved.artefacts["caffe"])
    assert find_manifest(text, "darknet") == (saved, None)


def test_an_edited_file_has_lost_its_record(text):
    example(text).save(manifest_path(text))
    text.write_text('name: "other"')
    manifest, artefact = find_manifest(text, "caffe")
    assert manifest.preprocessing == Preprocessing(8, 4)
    assert artefact is None


def test_no_manifest(text):
    assert find_manifest(text, "caffe") == (None, None)


def test_what_is_no_manifest(text):
    path = manifest_path(text)
    path.write_text("{")
    with pytest.raises(FileFormatError, match="is not JSON"):
        Manifest.load(path)
    example(text).save(path)
    content = json.loads(path.read_text())
    content["preprocessing"]["color"] = "GRB"
    path.write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match=r"is not a manifest\n  at       \$\.preprocessing"):
        Manifest.load(path)
