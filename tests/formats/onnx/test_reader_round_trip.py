"""What our own writer writes is read as the graph that was written, under its names."""

from dataclasses import replace

import numpy as np
import pytest
from op_cases import BINARY, CASES
from ordinary_networks import ORDINARY
from small_networks import SmallMGN, calibrated

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.onnx import FORMAT
from mgn_convert.formats.onnx.reader import read
from mgn_convert.formats.pytorch.capture import capture
from mgn_convert.graph import Graph, GraphBuilder, Origin
from mgn_convert.manifest import Artefact, Manifest, Tensor, file_entry


def assert_same(graph: Graph, path, tolerance: float = 1e-6) -> Graph:
    found = read(Source(path))
    for batch in (1, 3):
        random = np.random.default_rng(7)
        images = random.uniform(-2, 2, (batch, *graph.inputs[0].shape[1:])).astype(np.float32)
        wanted, got = (g.run({g.inputs[0].name: images}) for g in (graph, found))
        assert list(got) == list(wanted)
        for name, array in wanted.items():
            scale = max(1, np.abs(array).max())
            np.testing.assert_allclose(got[name], array, rtol=0, atol=tolerance * scale, err_msg=name)
    return found


@pytest.mark.parametrize("op", CASES)
def test_an_op_of_one_value(op, written):
    b = GraphBuilder("one")
    x = b.input("x", (1, 6, 7, 5))
    if op == "log":
        x = b.add("power", b.add("abs", x), shift=1.0)
    graph = b.graph([b.add(op, x, name="y", **CASES[op][0])])
    assert_same(graph, written(graph))


@pytest.mark.parametrize("op", BINARY)
def test_an_op_of_two_values(op, written):
    b = GraphBuilder("two")
    x = b.input("x", (1, 6, 7, 5))
    y = b.add("power", b.add("abs", x), scale=0.5, shift=1.0)
    y = b.add("permute", y, order=(0, 1, 3, 2)) if op == "matmul" else y
    graph = b.graph([b.add(op, x, y, name="y", **({"axis": 1} if op == "concat" else {}))])
    assert_same(graph, written(graph))


def test_choices(written):
    b = GraphBuilder("choices")
    x = b.input("x", (1, 6, 7, 5))
    pooled = b.add("max_pool", x, kernel=(2, 2), stride=(2, 2))
    wide = b.add("max_unpool", b.add("power", pooled, scale=-1.0), x, kernel=(2, 2), stride=(2, 2))
    best = b.add("top_channels", wide, b.add("reduce", x, kind="mean", axes=(2, 3)), k=3)
    found = assert_same(b.graph([best]), written(b.graph([best])))
    assert {"max_unpool", "top_channels"} <= {n.op for n in found}


@pytest.mark.parametrize("name", [*ORDINARY, "mgn"])
def test_a_network(name, written):
    shape = (3, 48, 16) if name == "mgn" else (3, 32, 24)
    network = SmallMGN() if name == "mgn" else ORDINARY[name]()
    graph = capture(calibrated(network, shape), shape).graph
    found = assert_same(graph, written(graph))
    assert found.outputs == graph.outputs
    assert len(found.nodes) <= 1.5 * len(graph.nodes)


def recorded(folder, origins: dict[str, str], outputs: tuple[str, ...], **fields: object) -> Manifest:
    """The manifest of folder/net.onnx, in which ONNX values are called after `origins`."""
    covers = {v: (Origin(t, f"module of {t}", "model.py:3"),) for v, t in origins.items()}
    tensors = tuple(Tensor(t, {"value": v, **fields}, covers[v]) for v, t in origins.items())
    files = {"net.onnx": file_entry(folder / "net.onnx", main=True)}
    artefact = Artefact("onnx", "", files, tensors, outputs)
    return Manifest("net", "image", (3, 5, 4), None, {}, {"onnx": artefact})


@pytest.fixture
def small(tmp_path, written):
    b = GraphBuilder("small")
    x = b.input("x", (1, 3, 5, 4))
    first = b.add("relu", x, name="first")
    middle = b.add("abs", first, name="middle")
    written(b.graph([b.add("tanh", middle, name="a"), b.add("exp", middle, name="b")]))
    return tmp_path


def test_names_by_the_manifest(small):
    manifest = recorded(small, {"first": "relu", "a": "head", "b": "neck"}, ("neck", "head"))
    manifest.save(small / "net.manifest.json")
    graph = read(Source(small / "net.onnx"))
    assert graph.inputs[0].name == "image"
    assert graph.outputs == ("neck", "head")
    assert [(n.name, str(n.origin)) for n in graph] == [
        ("relu", "module of relu (model.py:3)"),
        ("middle", "middle (net.onnx)"),
        ("head", "module of head (model.py:3)"),
        ("neck", "module of neck (model.py:3)"),
    ]
    assert graph.node("middle").origin.tensor == ""


def test_the_manifest_of_another_file_tells_the_input_alone(small):
    manifest = recorded(small, {"first": "relu"}, ("relu",))
    files = {"net.onnx": {"bytes": 1, "sha256": "0" * 64}}
    other = replace(manifest.artefacts["onnx"], files=files)
    replace(manifest, artefacts={"onnx": other}).save(small / "net.manifest.json")
    graph = read(Source(small / "net.onnx"))
    assert (graph.inputs[0].name, graph.nodes[0].name) == ("image", "first")


def test_files_with_more_than_the_network(small):
    recorded(small, {"a": "head"}, ("head",), blocks=[1, 0]).save(small / "net.manifest.json")
    with pytest.raises(UnsupportedError, match="it has the parts of its embedding in another order"):
        FORMAT.read(Source(small / "net.onnx"))
