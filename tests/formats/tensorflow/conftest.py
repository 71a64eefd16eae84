"""A network is right if what TensorFlow computes from its files is what its graph computes in float64."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mgn_convert.child import Child
from mgn_convert.formats import Source, Written
from mgn_convert.formats.pytorch import FORMAT as PYTORCH
from mgn_convert.formats.tensorflow import FORMAT
from mgn_convert.formats.tensorflow.environment import ENVIRONMENT
from mgn_convert.formats.tensorflow.runner import inward, outward
from mgn_convert.graph import Graph
from mgn_convert.manifest import Artefact, Manifest, file_entry, manifest_path, tensors_of
from mgn_convert.packaging import Packaging
from mgn_convert.passes.constants import fold_constants
from mgn_convert.passes.legalize import legalize
from mgn_convert.protobuf.schema import message_class

PROCESSES = Path(__file__).parent / "processes"


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    """max |got - wanted| over max(1, max |wanted|); infinite for another shape or for NaN."""
    if got.shape != wanted.shape or not np.all(np.isfinite(got)):
        return np.inf
    return float(np.abs(got - wanted).max(initial=0) / max(1, np.abs(wanted).max(initial=0)))


def write(graph: Graph, folder: Path, packaging: Packaging, dialect: str) -> Written:
    """NET.pb or NET/1/ in `folder`, and its manifest."""
    target = replace(FORMAT.target(dialect), packaging=packaging)
    graph = legalize(graph, target)
    written = FORMAT.write(graph, folder, "net", target)
    main = written.files[0]
    entries = {p.relative_to(main.parent).as_posix(): file_entry(p, main=p == main) for p in written.files}
    tensors = tensors_of(graph, written.tensors)
    outputs = tuple(graph.node(name).origin.tensor or name for name in graph.outputs)
    ends = written.input, written.result, packaging.processing
    artefact = Artefact("tensorflow", dialect, entries, tensors, outputs, *ends)
    start = graph.inputs[0]
    manifest = Manifest("net", start.name, start.shape[1:], None, {}, {"tensorflow": artefact})
    manifest.save(manifest_path(main))
    return written


@pytest.fixture
def written(tmp_path) -> Callable[..., Written]:
    """written(graph, packaging, dialect)."""

    def in_folder(graph: Graph, packaging: Packaging | None = None, dialect: str = "frozen") -> Written:
        return write(graph, tmp_path, packaging or Packaging(), dialect)

    return in_folder


def nodes_of(path: Path) -> list:
    """The nodes of a frozen graph."""
    return list(message_class("tensorflow.proto", "tensorflow.GraphDef").FromString(path.read_bytes()).node)


@pytest.fixture(scope="session")
def small_mgn() -> Graph:
    """The embedding of a small MGN: N x 3 x 48 x 16 to N x 24."""
    source = Source(None, factory="small_networks:small_mgn", input_shape=(3, 48, 16), output="0")
    return fold_constants(PYTORCH.read(source))


@pytest.fixture(scope="session")
def engine():
    """engine(path, feeds, fetches): those tensors of a frozen graph; one process for all tests."""

    def failure(action: str, reason: str, log: str) -> Exception:
        return AssertionError(f"{action}: {reason}\n{log}")

    environment = {**ENVIRONMENT, "PYTHONPATH": str(PROCESSES)}
    child = Child("frozen_files", [], failure, environment)

    def ask(*request) -> list:
        found = child.ask(request)
        assert not isinstance(found, str), found
        return found

    yield ask
    child.close()


@pytest.fixture
def in_tensorflow(tmp_path, engine) -> Callable[..., list]:
    """in_tensorflow(graph): write it, run it with batch 1 and 3, compare every output; returns its nodes.

    The bar is twice the error of the same arithmetic in float32, plus 1e-6 for another order of sums.
    """

    def check(graph: Graph, *, low: float = -2.0, high: float = 2.0) -> list:
        written = write(graph, tmp_path, Packaging(), "frozen")
        nodes = nodes_of(written.files[0])
        starts = [f"{node.name}:0" for node in nodes if node.op == "Placeholder"]
        places = {name: place["value"] for name, place, _ in written.tensors}
        random = np.random.default_rng(7)
        for batch in (1, 3):
            feeds = {
                value.name: random.uniform(low, high, (batch, *value.shape[1:])).astype(np.float32)
                for value in graph.inputs
            }
            wanted = graph.run(feeds)
            single = graph.run(feeds, dtype="float32")
            fed = {start: inward(array) for start, array in zip(starts, feeds.values(), strict=True)}
            got = engine(str(written.files[0]), fed, [places[name] for name in written.outputs])
            for (name, expected), actual in zip(wanted.items(), got, strict=True):
                bar = 2 * relative_error(single[name], expected) + 1e-6
                assert relative_error(outward(actual), expected) <= bar, f"{name}, batch {batch}"
        return nodes

    return check
