"""A written model is right if onnxruntime computes from it what the graph computes in float64."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import relative_error

from mgn_convert.formats import Source
from mgn_convert.formats.onnx import FORMAT
from mgn_convert.graph import Graph
from mgn_convert.packaging import Packaging
from mgn_convert.passes.legalize import legalize


@pytest.fixture
def written(tmp_path) -> Callable[..., Path]:
    """written(graph, packaging) -> the file, which the checker has passed."""

    def write(graph: Graph, packaging: Packaging | None = None) -> Path:
        target = replace(FORMAT.target(None), packaging=packaging or Packaging())
        FORMAT.write(legalize(graph, target), tmp_path, "net", target)
        onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)
        return tmp_path / "net.onnx"

    return write


@pytest.fixture
def in_onnxruntime(written) -> Callable[[Graph], Path]:
    """in_onnxruntime(graph): write it, run it with batch 1 and 3, compare the output.

    The bar is twice the error of the same arithmetic in float32, plus 1e-6 for another order of sums.
    """

    def check(graph: Graph) -> Path:
        path = written(graph)
        random = np.random.default_rng(7)
        for batch in (1, 3):
            shape = graph.inputs[0].shape[1:]
            images = random.uniform(-2, 2, (batch, *shape)).astype(np.float32)
            feeds = {graph.inputs[0].name: images}
            wanted, single = graph.run(feeds), graph.run(feeds, dtype="float32")
            with FORMAT.open_runner(Source(path)) as runner:
                got = runner.run(images)
            assert list(got) == list(wanted)
            for name, expected in wanted.items():
                bar = 2 * relative_error(single[name], expected) + 1e-6
                assert relative_error(got[name], expected) <= bar, f"{name}, batch {batch}"
        return path

    return check
