"""onnxruntime as the engine: taps, single layers, and files that are none."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.onnx import FORMAT
from mgn_convert.graph import Graph, GraphBuilder

IMAGES = np.random.default_rng(1).standard_normal((3, 3, 9, 5)).astype(np.float32)


@pytest.fixture
def branches() -> Graph:
    b = GraphBuilder("branches")
    x = b.input("x", (1, 3, 9, 5))
    stem = b.add("conv", x, weight=np.ones((4, 3, 1, 1), np.float32), name="stem")
    left = b.add("relu", b.add("slice", stem, axis=2, start=0, stop=4, name="upper"), name="left")
    right = b.add("power", stem, power=2.0, scale=0.5, name="right")
    means = [b.add("reduce", v, kind="mean", axes=(2, 3), name=f"{v.name}.mean") for v in (left, right)]
    return b.graph([b.add("concat", *means, axis=1, name="embedding")])


def test_every_tensor_can_be_tapped(branches, written):
    expected = branches.run({"x": IMAGES}, taps=[node.name for node in branches])
    with FORMAT.open_runner(Source(written(branches))) as runner:
        assert runner.outputs == ("embedding",)
        assert runner.input_shape == (3, 9, 5)
        assert set(runner.tensors) >= set(expected)
        found = runner.run(IMAGES, taps=list(expected))
        assert runner.describe("right") == 'Pow "right"'
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=2e-6)


def test_a_layer_alone_reads_the_reference(branches, written):
    reference = branches.run({"x": IMAGES}, taps=[n.name for n in branches])
    reference["stem"] = reference["stem"] + 1  # a fault of the reference's own, which must show
    with FORMAT.open_runner(Source(written(branches))) as runner:
        alone = {k: v for k, v in reference.items() if k != "upper"} | {"x": IMAGES}
        np.testing.assert_allclose(
            runner.run_isolated("upper", alone), reference["stem"][:, :, :4], atol=1e-6
        )
        np.testing.assert_allclose(
            runner.run_isolated("stem", {"x": IMAGES}), reference["stem"] - 1, atol=1e-6
        )
        with pytest.raises(UsageError, match="do not lead to right"):
            runner.run_isolated("right", {"embedding": reference["embedding"]})


def test_what_does_not_fit_is_named(branches, written):
    with FORMAT.open_runner(Source(written(branches))) as runner:
        with pytest.raises(UsageError) as caught:
            runner.run(IMAGES[:, :, :4])
        assert str(caught.value) == (
            "net.onnx takes another input 'x'\n"
            "  because  its shape is ['N', 3, 9, 5]\n"
            "  got      [3, 3, 4, 5]"
        )
        with pytest.raises(UsageError, match="has no tensor 'nose'") as caught:
            runner.run(IMAGES, taps=["nose"])
        assert "embedding" in caught.value.got
    with pytest.raises(UsageError, match="has no tensor 'nose'"):
        FORMAT.open_runner(Source(written(branches), output="nose"))
    with FORMAT.open_runner(Source(written(branches), output="right.mean")) as runner:
        assert list(runner.run(IMAGES)) == ["right.mean"]


def test_open_sizes_want_an_input_shape(branches, written):
    path = written(branches)
    proto = onnx.load(path)
    for axis in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "any"
    onnx.save(proto, path)
    with pytest.raises(UsageError, match="leaves the size of its images open"):
        FORMAT.open_runner(Source(path))
    with FORMAT.open_runner(Source(path, input_shape=(3, 9, 5))) as runner:
        assert runner.run(IMAGES)["embedding"].shape == (3, 8)


def test_two_inputs_are_refused(tmp_path):
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "two", infos[:2], infos[2:])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "two.onnx")
    with pytest.raises(UsageError, match="has 2 inputs"):
        FORMAT.open_runner(Source(tmp_path / "two.onnx"))


@pytest.mark.parametrize("content", [b"", b"no protobuf", b"\x08\x08"])
def test_a_file_that_is_no_model(content, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(FileFormatError):
        FORMAT.open_runner(Source(tmp_path / "bad.onnx"))


def test_a_file_that_ends_early(branches, written):
    path = written(branches)
    content = path.read_bytes()
    for end in range(0, len(content), 97):
        path.write_bytes(content[:end])
        with pytest.raises(FileFormatError):
            FORMAT.open_runner(Source(path))


def test_no_file(tmp_path):
    with pytest.raises(FileFormatError, match="there is no file"):
        FORMAT.open_runner(Source(tmp_path / "none.onnx"))


def test_no_onnxruntime(branches, written, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingEngineError, match="onnxruntime cannot be imported"):
        FORMAT.open_runner(Source(written(branches)))
