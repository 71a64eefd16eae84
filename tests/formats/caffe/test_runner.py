"""The engines: taps by tensor, isolated layers, batches, and what goes wrong in them."""

import sys
import textwrap

import numpy as np
import pytest

from mgn_convert.errors import (
    FileFormatError,
    MgnConvertError,
    MissingEngineError,
    UnsupportedError,
    UsageError,
)
from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT
from mgn_convert.graph import GraphBuilder


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture
def branches():
    """Branches over slices, with a residual sum: what MGN is made of."""
    b = GraphBuilder("net")
    x = b.input("x", (1, 3, 13, 6))
    y = b.add("conv", x, weight=weights(4, 3, 3, 3), padding=(1, 1), name="conv")
    y = b.add("relu", b.add("max_pool", y, kernel=(2, 2), stride=(2, 2), name="pool"), name="relu")
    z = b.add("add", y, b.add("conv", y, weight=weights(4, 4, 1, 1), name="side"), name="sum")
    ends = []
    for i in range(3):
        part = b.add("slice", z, axis=2, start=2 * i, stop=2 * i + 2, name=f"part{i}")
        top = b.add("reduce", part, kind="max", axes=(2, 3), name=f"top{i}")
        ends.append(b.add("linear", top, weight=weights(5, 4), bias=weights(5), name=f"fc{i}"))
    return b.graph([b.add("concat", *ends, axis=1, name="embedding")])


def test_every_tensor_can_be_tapped_and_isolated(branches, written):
    images = weights(3, 3, 13, 6)
    names = [node.name for node in branches]
    wanted = branches.run({"x": images}, taps=names)
    with FORMAT.open_runner(Source(written(branches))) as runner:
        assert runner.engine == "opencv"
        assert runner.input_shape == (3, 13, 6)
        assert runner.outputs == ("embedding",)
        assert set(names) <= set(runner.tensors)
        got = runner.run(images, taps=names)
        for name in names:
            # 1e-5: a few float32 sums of numbers near 1.
            np.testing.assert_allclose(got[name], wanted[name], atol=1e-5)
            alone = runner.run_isolated(name, {**wanted, "data": images})
            np.testing.assert_allclose(alone, wanted[name], atol=1e-5)


def test_isolated_starts_from_the_reference(branches, written):
    wanted = branches.run({"x": weights(2, 3, 13, 6)}, taps=[node.name for node in branches])
    doctored = {"part1": np.zeros_like(wanted["part1"])}
    with FORMAT.open_runner(Source(written(branches))) as runner:
        assert not runner.run_isolated("top1", doctored).any()
        with pytest.raises(UsageError, match="cannot be computed from these values alone"):
            runner.run_isolated("top2", doctored)


def test_describe(branches, written):
    with FORMAT.open_runner(Source(written(branches))) as runner:
        assert runner.describe("conv") == 'Convolution "conv"'


def test_usage_errors(branches, written):
    with FORMAT.open_runner(Source(written(branches))) as runner:
        with pytest.raises(UsageError) as caught:
            runner.run(weights(1, 3, 13, 7))
        assert str(caught.value) == (
            "net.prototxt takes another input 'data'\n"
            "  because  its shape is ['N', 3, 13, 6]\n"
            "  got      [1, 3, 13, 7]"
        )
        with pytest.raises(UsageError, match="no tensor 'nothing'"):
            runner.run(weights(1, 3, 13, 6), taps=["nothing"])
    with pytest.raises(UsageError, match="no engine 'matlab'"):
        FORMAT.open_runner(Source(written(branches), engine="matlab"))


def test_missing_files(branches, written):
    prototxt = written(branches)
    prototxt.with_suffix(".caffemodel").unlink()
    with pytest.raises(FileFormatError, match="there is no"):
        FORMAT.open_runner(Source(prototxt))


def test_in_place_versions_are_tapped(tmp_path):
    (tmp_path / "net.prototxt").write_text(
        'input: "data" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 2\n'
        'layers { name: "p" type: POWER bottom: "data" top: "p" power_param { scale: -1 } }\n'
        'layers { name: "r" type: RELU bottom: "p" top: "p" }\n'
        'layers { name: "s" type: SLICE bottom: "p" top: "a" top: "b" slice_param { slice_point: 1 } }\n'
        'layers { name: "t" type: TANH bottom: "b" top: "b" }\n'
    )
    (tmp_path / "net.caffemodel").touch()
    x = weights(2, 2, 3, 2)
    with FORMAT.open_runner(Source(tmp_path / "net.prototxt")) as runner:
        assert runner.tensors == ("p.p", "p", "a", "b")
        got = runner.run(x, taps=["p.p", "p"])
    np.testing.assert_array_equal(got["p.p"], -x)
    np.testing.assert_array_equal(got["p"], np.maximum(-x, 0))
    np.testing.assert_array_equal(got["a"], got["p"][:, :1])
    np.testing.assert_allclose(got["b"], np.tanh(got["p"][:, 1:]), atol=1e-6)


DATA = (
    'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 dim: 5 dim: 3 } } }\n'
)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ('type: "MVN"', "OpenCV adds the eps of MVN inside the root, Caffe outside"),
        ('type: "Log" log_param { base: 2 }', "OpenCV takes the natural logarithm whatever the base"),
        ('type: "Swish" swish_param { beta: 2 }', "OpenCV ignores `beta`"),
        (
            'type: "Pooling" pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }',
            "OpenCV does not know `round_mode` and rounds up",
        ),
        (
            'type: "Deconvolution" convolution_param { num_output: 2 kernel_size: 1 pad_w: 1 }',
            "OpenCV writes beyond the map of a 1x1 Deconvolution with padding",
        ),
    ],
)
def test_layers_that_opencv_computes_wrongly_are_refused(layer, reason, tmp_path):
    (tmp_path / "net.prototxt").write_text(DATA + f'layer {{ name: "l" {layer} bottom: "data" top: "l" }}')
    (tmp_path / "net.caffemodel").touch()
    with pytest.raises(UnsupportedError) as caught:
        FORMAT.open_runner(Source(tmp_path / "net.prototxt"))
    assert caught.value.because == reason
    assert caught.value.at.endswith("(net.prototxt:2)")


def test_layers_that_opencv_lacks(tmp_path):
    (tmp_path / "net.prototxt").write_text(
        DATA + 'layer { name: "l" type: "Reduction" bottom: "data" top: "l" }'
    )
    (tmp_path / "net.caffemodel").touch()
    with (
        pytest.raises(MgnConvertError) as caught,
        FORMAT.open_runner(Source(tmp_path / "net.prototxt")) as runner,
    ):
        runner.run(weights(1, 4, 5, 3))
    assert "OpenCV cannot" in caught.value.what
    assert "Reduction" in caught.value.because


def test_pycaffe_is_missing(branches, written, monkeypatch):
    monkeypatch.setattr("mgn_convert.formats.caffe.pycaffe_runner.find_spec", lambda name: None)
    with pytest.raises(MissingEngineError) as caught:
        FORMAT.open_runner(Source(written(branches), engine="pycaffe"))
    assert caught.value.what == "pycaffe is not installed"


STAND_IN = """
    import os, sys
    import numpy as np
    from mgn_convert.formats import Source
    from mgn_convert.formats.caffe import FORMAT
    from pathlib import Path

    TEST = 1
    print("glog talks on stdout")

    def set_mode_cpu():
        pass

    class Blob:
        def __init__(self):
            self.data = np.zeros(1, np.float32)

        def reshape(self, *shape):
            self.data = np.zeros(shape, np.float32)

    class Net:
        def __init__(self, prototxt, caffemodel, phase):
            self.graph = FORMAT.read(Source(Path(prototxt), Path(caffemodel)))
            values = [v.name for v in self.graph.inputs] + [n.name for n in self.graph]
            self.blobs = {name: Blob() for name in values}

        def reshape(self):
            pass

        def forward(self):
            feeds = {v.name: self.blobs[v.name].data for v in self.graph.inputs}
            if any((feed > 50).any() for feed in feeds.values()):
                os.write(2, b"F1120 net.cpp:9] Check failed: too hot\\n")
                os.abort()
            for name, array in self.graph.run(feeds, taps=[n.name for n in self.graph]).items():
                self.blobs[name].data = array.astype(np.float32)
"""


@pytest.fixture
def pycaffe(tmp_path, monkeypatch):
    """A module called caffe with pycaffe's interface, computed by our reader and interpreter."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "caffe.py").write_text(textwrap.dedent(STAND_IN))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "caffe", raising=False)


@pytest.mark.usefixtures("pycaffe")
def test_pycaffe_runs_in_a_child(branches, written):
    images = weights(2, 3, 13, 6)
    wanted = branches.run({"x": images}, taps=["pool", "top1"])
    with FORMAT.open_runner(Source(written(branches), engine="pycaffe")) as runner:
        got = runner.run(images, taps=["pool", "top1"])
        alone = runner.run_isolated("top1", {"pool": wanted["pool"]})
    for name in wanted:
        np.testing.assert_allclose(got[name], wanted[name], atol=1e-5)
    np.testing.assert_allclose(alone, wanted["top1"], atol=1e-5)


@pytest.mark.usefixtures("pycaffe")
def test_a_crash_of_caffe_is_an_error(branches, written):
    with FORMAT.open_runner(Source(written(branches), engine="pycaffe")) as runner:
        with pytest.raises(MgnConvertError) as caught:
            runner.run(np.full((1, 3, 13, 6), 99, np.float32))
        assert caught.value.what == "Caffe cannot run net.prototxt"
        assert "status -6" in caught.value.because
        assert caught.value.got == "F1120 net.cpp:9] Check failed: too hot"
