"""The file: names, an open batch, streamed weights, and a second file past 2 GiB."""

import numpy as np
import onnx
import pytest

from mgn_convert.formats import Source
from mgn_convert.formats.onnx import FORMAT, writer
from mgn_convert.graph import Graph, GraphBuilder, Origin
from mgn_convert.packaging import Names, Packaging


@pytest.fixture
def small() -> Graph:
    b = GraphBuilder("small")
    x = b.input("x", (1, 3, 9, 5))
    weight = np.random.default_rng(0).standard_normal((13, 3, 3, 3)).astype(np.float32)
    y = b.add("conv", x, weight=weight, name="stem.0", origin=Origin("stem.0", "stem.0", "net.py:3"))
    y = b.add("relu", y, name="stem.1", origin=Origin("stem.1", "stem.1", "net.py:3"))
    y = b.add("reduce", y, kind="mean", axes=(2, 3), name="mean", origin=Origin("mean", "", "net.py:7"))
    return b.graph([y])


IMAGES = np.random.default_rng(1).standard_normal((3, 3, 9, 5)).astype(np.float32)


def test_names_are_module_paths_and_the_batch_is_open(small, written):
    graph = onnx.load(written(small)).graph
    assert [node.name for node in graph.node] == ["stem.0", "stem.1", "mean"]
    assert [list(node.output) for node in graph.node] == [["stem.0"], ["stem.1"], ["mean"]]
    assert graph.node[0].doc_string == "stem.0 (net.py:3)"
    assert [t.name for t in graph.initializer] == ["stem.0.weight", "mean.axes"]
    dims = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input]
    assert dims == [["N", 3, 9, 5]]


def test_the_ends_are_called_as_wished(small, written):
    path = written(small, Packaging(Names(input="image", output="stem.1")))
    graph = onnx.load(path).graph
    assert [v.name for v in graph.input] == ["image"]
    assert [v.name for v in graph.output] == ["stem.1"]
    assert len({name for node in graph.node for name in node.output}) == 3, "names stay unique"
    with FORMAT.open_runner(Source(path)) as runner:
        expected = small.run({"x": IMAGES})["mean"]
        np.testing.assert_allclose(runner.run(IMAGES)["stem.1"], expected, atol=2e-6)


def test_the_same_graph_gives_the_same_bytes(small, written):
    first = written(small).read_bytes()
    assert written(small).read_bytes() == first


def test_a_shared_weight_of_float64_goes_out_as_float32(written):
    b = GraphBuilder("wide")
    y = b.add("add", b.input("x", (1, 4)), b.add("constant", value=np.array([0.1, 0.2, 0.3, 0.4])), name="y")
    (tensor,) = onnx.load(written(b.graph([y]))).graph.initializer
    assert tensor.data_type == onnx.TensorProto.FLOAT
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), np.float32([0.1, 0.2, 0.3, 0.4]))


def test_past_the_limit_the_weights_go_to_a_second_file(small, written, monkeypatch):
    path = written(small)
    with FORMAT.open_runner(Source(path)) as runner:
        expected = runner.run(IMAGES, taps=["stem.0"])
    monkeypatch.setattr(writer, "LARGEST", 500)
    assert written(small) == path
    data = path.with_name("net.onnx.data")
    assert data.stat().st_size >= 4 * 13 * 27
    assert path.stat().st_size < 1500
    with FORMAT.open_runner(Source(path)) as runner:
        found = runner.run(IMAGES, taps=["stem.0"])
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_an_output_that_is_an_input_goes_through_a_node(written):
    b = GraphBuilder("through")
    x = b.input("x", (1, 4))
    path = written(b.graph([b.add("power", x, name="y")]))
    with FORMAT.open_runner(Source(path)) as runner:
        np.testing.assert_array_equal(runner.run(IMAGES[0, 0, :3, :4])["y"], IMAGES[0, 0, :3, :4])
