"""What BVLC Caffe computed on 88 small networks, against our reader and, written again, in OpenCV."""

from pathlib import Path

import numpy as np
import pytest

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT
from mgn_convert.formats.caffe.runner import open_runner
from mgn_convert.passes.legalize import legalize

NETS = sorted(path.parent for path in (Path(__file__).parents[2] / "golden" / "caffe").glob("*/net.prototxt"))

REFUSED = {"argmax": "its top holds positions, not features"}
UNSAVED = {"slice_axis1_unused_top"}
"""Networks with an output more than Caffe's answers were saved for."""

NOT_PORTABLE = {
    "act_Dropout": "the network is its input: nothing to write",
    "dummydata_elt": "the constant spans the batch of 2",
    "parameter_scale": "the constant spans the batch of 2",
    "red_SUM_ax0": "sums over the batch",
    "threshold": "no layer of OpenCV compares",
    "scale_2b_C_axis1": "an input without a batch axis",
    "scale_2b_HW_axis2": "an input without a batch axis",
}
"""Networks that batch-agnostic layers of all three readers cannot express."""


def feeds_of(net: Path) -> dict[str, np.ndarray]:
    return {path.stem[3:]: np.load(path) for path in net.glob("in_*.npy")}


def answers_of(net: Path) -> dict[str, np.ndarray]:
    return {path.stem[6:]: np.load(path) for path in net.glob("caffe_*.npy")}


def error(got: np.ndarray, wanted: np.ndarray) -> float:
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def test_all_nets_are_here():
    assert len(NETS) == 88


@pytest.mark.parametrize("net", [n for n in NETS if n.name not in REFUSED], ids=lambda n: n.name)
def test_reader_computes_what_caffe_computes(net):
    graph = FORMAT.read(Source(net / "net.prototxt"))
    got = graph.run(feeds_of(net))
    answers = answers_of(net)
    assert len(got) == len(answers) + (net.name in UNSAVED)
    for name, wanted in answers.items():
        actual = got[name] if name in got else got[graph.outputs[0]]
        # 1e-6: the figure that the project sets for these nets; Caffe's own float32 error is below it.
        assert error(actual, wanted) <= 1e-6


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    net = next(n for n in NETS if n.name == name)
    with pytest.raises(UnsupportedError) as caught:
        FORMAT.read(Source(net / "net.prototxt"))
    assert caught.value.because == REFUSED[name]


@pytest.mark.parametrize(
    "net", [n for n in NETS if n.name not in {*REFUSED, *NOT_PORTABLE}], ids=lambda n: n.name
)
def test_written_again_runs_in_opencv(net, tmp_path):
    graph = FORMAT.read(Source(net / "net.prototxt"))
    target = FORMAT.target(None)
    FORMAT.write(legalize(graph, target), tmp_path, "net", target)
    with open_runner(Source(tmp_path / "net.prototxt")) as runner:
        got = runner.run_feeds(feeds_of(net))
    answers = answers_of(net)
    assert len(got) == len(answers) + (net.name in UNSAVED)
    for name, wanted in answers.items():
        actual = got[name] if name in got else got[f"{name}.output"]
        if wanted.ndim == 1:
            actual = actual.reshape(-1)  # a matrix of OpenCV has two axes at least
        # 3e-6: two float32 engines, each within 1e-6 of the truth, and exp or pow of another library.
        assert error(actual, wanted) <= 3e-6


DIALECTS = {
    (net, dialect)
    for net in NETS
    for dialect in FORMAT.dialects()
    if net.name not in REFUSED and (net.name not in NOT_PORTABLE or "bvlc" in dialect)
    if NOT_PORTABLE.get(net.name) != "an input without a batch axis"
}


@pytest.mark.parametrize(
    ("net", "dialect"), sorted(DIALECTS), ids=lambda x: x if isinstance(x, str) else x.name
)
def test_written_again_reads_the_same(net, dialect, tmp_path):
    graph = FORMAT.read(Source(net / "net.prototxt"))
    target = FORMAT.target(dialect)
    FORMAT.write(legalize(graph, target), tmp_path, "net", target)
    again = FORMAT.read(Source(tmp_path / "net.prototxt"))
    feeds = feeds_of(net)
    feeds = feeds if len(feeds) > 1 else dict.fromkeys(["data"], next(iter(feeds.values())))
    got = {name.removesuffix(".output"): array for name, array in again.run(feeds).items()}
    wanted = graph.run(feeds)
    assert len(got) == len(wanted)
    for name in wanted:
        # 1e-6: weights and parameters are rounded to float32 once more.
        assert error(got[name], wanted[name]) <= 1e-6


@pytest.mark.parametrize("name", ["red_SUM_ax0", "threshold", "dummydata_elt", "parameter_scale"])
def test_not_portable_is_said(name):
    net = next(n for n in NETS if n.name == name)
    graph = FORMAT.read(Source(net / "net.prototxt"))
    with pytest.raises(UnsupportedError):
        legalize(graph, FORMAT.target(None))
