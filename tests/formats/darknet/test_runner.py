"""The engine behind the common interface of runners."""

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT, build


@pytest.fixture
def cfg(network, make, write):
    def layers(b, x):
        x = b.add("relu", make.conv(b, x, 4, (3, 3), name="conv"), name="relu")
        x = b.add("reshape", b.add("reduce", x, kind="mean", axes=(2, 3), name="mean"), shape=(0, -1))
        return b.add("linear", x, weight=make.numbers(3, 4), name="logits")

    return write(network(layers))


def test_without_a_manifest_tensors_are_called_as_the_sections(cfg):
    with FORMAT.open_runner(Source(cfg)) as runner:
        assert runner.engine == "darknet"
        assert runner.tensors == ("relu", "mean", "logits")
        assert runner.outputs == ("logits",)
        assert [runner.describe(name) for name in runner.tensors] == [
            "layer 0 [convolutional]",
            "layer 1 [avgpool]",
            "layer 2 [connected]",
        ]


def test_any_number_of_images(cfg):
    values = np.random.default_rng(0).standard_normal((19, 5, 9, 6))
    with FORMAT.open_runner(Source(cfg)) as runner:
        together = runner.run(values, ["relu"])
        alone = [runner.run(values[i : i + 1], ["relu"]) for i in range(19)]
    assert together["relu"].shape == (19, 4, 7, 4)
    assert together["logits"].shape == (19, 3)
    for name in ("relu", "logits"):
        np.testing.assert_array_equal(together[name], np.concatenate([a[name] for a in alone]))


def test_engine_and_threads(cfg):
    images = np.random.default_rng(0).standard_normal((2, 5, 9, 6))
    with FORMAT.open_runner(Source(cfg, engine="darknet-plain", threads=1)) as plain:
        assert plain.engine == "darknet-plain"
        wanted = plain.run(images)["logits"]
    for source in (Source(cfg, threads=2), Source(cfg, engine="pycaffe"), Source(cfg, engine="darknet")):
        with FORMAT.open_runner(source) as runner:
            assert runner.engine == "darknet"
            np.testing.assert_allclose(runner.run(images)["logits"], wanted, atol=1e-6)
    with pytest.raises(UsageError, match="there is no engine 'caffe'") as caught:
        FORMAT.open_runner(Source(cfg, engine="caffe"))
    assert "darknet-plain" in caught.value.remedy


def test_wrong_calls(cfg):
    with FORMAT.open_runner(Source(cfg)) as runner:
        for shape in ((1, 5, 9, 7), (5, 9, 6), (0, 5, 9, 6)):
            with pytest.raises(UsageError) as caught:
                runner.run(np.zeros(shape))
            assert caught.value.because == "the network takes ['N', 5, 9, 6]"
        with pytest.raises(UsageError, match="this network has no tensor conv"):
            runner.run(np.zeros((1, 5, 9, 6)), ["conv"])
        with pytest.raises(UsageError, match="the reference holds too little"):
            runner.run_isolated("relu", {"logits": np.zeros((1, 3))})
        with pytest.raises(UsageError, match="values of one batch"):
            runner.run_isolated("relu", {})


def test_files_are_checked_before_the_engine(cfg, monkeypatch):
    cfg.with_suffix(".weights").write_bytes(b"short")
    monkeypatch.setattr(build, "library", lambda: pytest.fail("the engine was asked for"))
    with pytest.raises(FileFormatError, match="too short"):
        FORMAT.open_runner(Source(cfg))


def test_a_missing_compiler(cfg, monkeypatch, tmp_path):
    from mgn_convert.formats.darknet import library

    monkeypatch.setenv("MGN_CONVERT_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    library.load_library.cache_clear()
    build._key.cache_clear()
    try:
        with pytest.raises(MissingEngineError, match="no-such-compiler is missing"):
            FORMAT.open_runner(Source(cfg))
    finally:
        library.load_library.cache_clear()
        build._key.cache_clear()
