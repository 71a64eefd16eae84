"""A checkpoint that tells which network it is of."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import mgn_convert
from mgn_convert.architecture import architecture
from mgn_convert.embed import preprocessing_of
from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.formats import Source, complete
from mgn_convert.manifest import Manifest

BILINEAR = replace(architecture("mgn").preprocessing, height=96, width=32, resize="bilinear")


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return architecture("mgn").build(pool="avg", input_size="96x32", depth=18, width=16, features=8).eval()


@pytest.fixture
def save(tmp_path, weights):
    def write(record):
        path = tmp_path / "best.pth"
        torch.save({"state_dict": weights.state_dict(), "architecture": record, "epoch": 3}, path)
        return path

    return write


def _record(**fields):
    options = {"pool": "avg", "input_size": "96x32"}
    return {"name": "mgn", "options": options, "preprocessing": BILINEAR.to_json(), **fields}


def test_a_record_says_what_the_keys_do_not(save, weights):
    path = save(_record())
    images = np.random.default_rng(0).standard_normal((2, 3, 96, 32)).astype(np.float32)
    with mgn_convert.open_runner(path) as net:
        (found,) = net.run(images).values()
    with torch.no_grad():
        expected = weights(torch.from_numpy(images))[0].numpy()
    np.testing.assert_array_equal(found, expected)
    assert preprocessing_of([Source(path)], (3, 96, 32)) == BILINEAR


def test_a_conversion_passes_the_record_on(save, tmp_path):
    mgn_convert.convert(save(_record()), "onnx", tmp_path / "out", verify=False)
    manifest = Manifest.load(tmp_path / "out" / "best.manifest.json")
    assert manifest.preprocessing == BILINEAR
    assert manifest.source["architecture"] == "mgn"
    assert manifest.source["options"]["pool"] == "avg"


def test_the_user_has_the_last_word(save):
    path = save(_record())
    assert complete(Source(path, options={"pool": "max"})).options == {"pool": "max"}
    assert complete(Source(path, input_shape=(3, 192, 64))).input_shape == (3, 192, 64)
    assert complete(Source(path, architecture="mgn-attention")).options == {}


@pytest.mark.parametrize("record", ["resnet50", {"arch": "mgn"}, None, 7])
def test_what_is_no_record_of_ours_is_no_record(save, record):
    with pytest.raises(UsageError, match="look like the keys of --arch mgn"):
        mgn_convert.read(save(record))


def test_a_damaged_record_is_refused(save):
    path = save(_record(preprocessing={"height": 96}))
    with pytest.raises(FileFormatError, match="record of its network that cannot be understood"):
        mgn_convert.read(path)


def test_an_unknown_network_is_named(save):
    with pytest.raises(UsageError, match="no architecture 'osnet'"):
        mgn_convert.read(save(_record(name="osnet")))
