"""A network is right if what OpenCV computes from its files is what its graph computes in float64."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT
from mgn_convert.formats.caffe.runner import open_runner
from mgn_convert.graph import Graph
from mgn_convert.passes.legalize import legalize

GOLDEN = Path(__file__).parents[2] / "golden" / "caffe"


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    """max |got - wanted| over max(1, max |wanted|); infinite for another shape or for NaN."""
    if got.shape != wanted.shape or not np.all(np.isfinite(got)):
        return np.inf
    return float(np.abs(got - wanted).max(initial=0) / max(1, np.abs(wanted).max(initial=0)))


@pytest.fixture
def written(tmp_path) -> Callable[..., Path]:
    """written(graph, dialect) -> the prototxt, with its caffemodel beside it."""

    def write(graph: Graph, dialect: str | None = None) -> Path:
        target = FORMAT.target(dialect)
        FORMAT.write(legalize(graph, target), tmp_path, "net", target)
        return tmp_path / "net.prototxt"

    return write


@pytest.fixture
def in_opencv(written) -> Callable[..., Path]:
    """in_opencv(graph): write it, run it in OpenCV with batch 1 and 3, compare every output.

    The bar is twice the error of the same arithmetic in float32, plus 1e-6 for another order of sums.
    """

    def check(graph: Graph, dialect: str | None = None, *, low: float = -2.0, high: float = 2.0) -> Path:
        prototxt = written(graph, dialect)
        random = np.random.default_rng(7)
        for batch in (1, 3):
            feeds = {
                value.name: random.uniform(low, high, (batch, *value.shape[1:])).astype(np.float32)
                for value in graph.inputs
            }
            wanted = graph.run(feeds)
            single = graph.run(feeds, dtype="float32")
            with open_runner(Source(prototxt)) as runner:
                renamed = {"data": next(iter(feeds.values()))} if len(feeds) == 1 else feeds
                got = runner.run_feeds(renamed)
            assert len(got) == len(wanted)
            for (name, expected), actual in zip(wanted.items(), got.values(), strict=True):
                bar = 2 * relative_error(single[name], expected) + 1e-6
                assert relative_error(actual, expected) <= bar, f"{name}, batch {batch}"
        return prototxt

    return check
