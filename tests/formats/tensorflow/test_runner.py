"""Running frozen graphs: outputs, taps, layers alone, processing, and files that other tools wrote."""

from pathlib import Path

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.tensorflow import environment
from mgn_convert.formats.tensorflow.graphdef import Dims, Type, node_def, write_graphdef
from mgn_convert.formats.tensorflow.runner import open_runner
from mgn_convert.graph import Graph, GraphBuilder
from mgn_convert.packaging import Names, Packaging, Processing, in_order
from mgn_convert.preprocess import Preprocessing

random = np.random.default_rng(6)


def images(count: int, height: int = 48, width: int = 16) -> np.ndarray:
    return random.normal(size=(count, 3, height, width)).astype(np.float32)


def close(got: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * max(1, np.abs(wanted).max()))


def test_outputs_taps_and_layers_alone(small_mgn: Graph, written):
    with open_runner(Source(written(small_mgn).files[0])) as runner:
        batch = images(3)
        assert runner.engine == "tensorflow"
        assert (runner.input_name, runner.input_shape) == ("x", (3, 48, 16))
        assert runner.processing is None
        values = runner.run(batch, runner.tensors)
        wanted = small_mgn.run({"x": batch}, taps=[node.name for node in small_mgn.nodes])
        by_tensor = {n.origin.tensor or n.name: wanted[n.name] for n in small_mgn.nodes}
        assert set(runner.tensors) == set(by_tensor)
        for name, value in values.items():
            close(value, by_tensor[name])
        values["x"] = batch
        for name in runner.tensors:
            others = {key: value for key, value in values.items() if key != name}
            close(runner.run_isolated(name, others), values[name])
        close(runner.run_isolated(runner.outputs[0], {"x": batch}), values[runner.outputs[0]])
        assert runner.describe(runner.tensors[0]) == 'Conv2D "stem/0"'
        with pytest.raises(UsageError) as error:
            runner.run(images(1, 48, 17))
        assert str(error.value).splitlines() == [
            "net.pb takes another input",
            "  because  its shape is [N, 3, 48, 16]",
            "  got      [1, 3, 48, 17]",
        ]
        with pytest.raises(UsageError, match=r"net.pb has no tensor 'nowhere' that can be tapped"):
            runner.run(batch, ["nowhere"])
        with pytest.raises(UsageError, match="cannot be computed alone\n  because  it needs x:0"):
            runner.run_isolated(runner.outputs[0], {})


def test_processing_inside_and_blocks_out_of_order(small_mgn: Graph, written, tmp_path):
    inside = Processing(Preprocessing(48, 16, resize="bilinear"), True)
    packaging = Packaging(Names(input="image_tensor", output="person_embedding"), inside, (0, 2, 1))
    made = written(in_order(small_mgn, packaging.blocks), packaging)
    manifest = made.files[0].with_suffix(".manifest.json")
    place = f'"value": "{made.tensors[-1][1]["value"]}"'
    assert place == '"value": "person_embedding:0"'
    blocks = f'{place},\n     "blocks": [0, 2, 1]'
    manifest.write_text(manifest.read_text().replace(place, blocks))
    with open_runner(Source(made.files[0])) as runner:
        assert runner.processing == inside
        pictures = random.integers(0, 256, (2, 3, 60, 31)).astype(np.float32)
        (output,) = runner.outputs
        fed = inside.before(pictures)
        raw = small_mgn.run({"x": fed})[small_mgn.outputs[0]]
        assert runner.run(pictures)[output].shape == (2, 24)
        close(runner.run(pictures)[output], inside.after(raw))
        close(runner.run(pictures, [output])[output], raw)
        close(runner.run_isolated(output, {"x": fed}), raw)
        with pytest.raises(UsageError, match=r"its shape is \[N, 3, any, any\]"):
            runner.run(pictures[:, :2])
    with open_runner(Source(made.files[0], output="result_embedding")) as runner:
        close(runner.run(pictures)[output], inside.after(raw))
    with open_runner(Source(made.files[0], output="original_embedding")) as runner:
        assert runner.run(pictures)["original_embedding:0"].shape == (2, 24)


def foreign(path: Path) -> Path:
    """A frozen graph that another tool could have written: an input of any size, a relu."""
    start = node_def("image", "Placeholder", dtype=Type.FLOAT, shape=Dims((-1, -1, -1, 3)))
    with path.open("wb") as file:
        write_graphdef(file, [start, node_def("made", "Relu", ["image"], T=Type.FLOAT)])
    return path


def test_a_file_without_a_manifest(tmp_path):
    path = foreign(tmp_path / "other.pb")
    with open_runner(Source(path)) as runner:
        assert (runner.input_name, runner.input_shape) == ("image:0", (3, -1, -1))
        assert runner.outputs == runner.tensors == ("made:0",)
        batch = images(2, 5, 4)
        np.testing.assert_array_equal(runner.run(batch)["made:0"], np.maximum(batch, 0))
    with pytest.raises(UsageError) as error:
        open_runner(Source(path, output="nothing"))
    assert str(error.value).splitlines() == ["other.pb has no tensor 'nothing'", "  got      made:0"]
    with pytest.raises(UsageError, match=r"other.pb has no signatures\n  because  it is a frozen graph"):
        open_runner(Source(path, signature="serving_default"))


def test_two_inputs_are_not_images(tmp_path, written):
    b = GraphBuilder("net")
    x, y = b.input("x", (1, 3, 4, 4)), b.input("y", (1, 3, 4, 4))
    with pytest.raises(UsageError, match=r"net.pb has 2 inputs\n  because  a runner feeds images to one"):
        open_runner(Source(written(b.graph([b.add("add", x, y)])).files[0]))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("net.pb", "DecodeError: Error parsing message"),
        ("saved_model.pb", "OSError: Cannot parse file b'"),
    ],
)
def test_a_file_that_is_something_else(tmp_path, name, reason):
    path = tmp_path / name
    path.write_bytes(b"not a model at all")
    with pytest.raises(FileFormatError) as error:
        open_runner(Source(path))
    lines = str(error.value).splitlines()
    assert lines[0] == f"TensorFlow cannot load {path}"
    assert lines[1].startswith(f"  because  {reason}")
    assert lines[2:] == ["  try      write the file again"]


def test_a_graph_that_this_tensorflow_does_not_know(tmp_path, engine):
    """The reasons that the runner shows as the one above."""
    path = tmp_path / "net.pb"
    path.write_bytes(b"")
    with pytest.raises(AssertionError, match="ValueError: the file holds no nodes of a graph"):
        engine(str(path), {}, [])
    with path.open("wb") as file:
        write_graphdef(file, [node_def("a", "NoSuchOp")])
    with pytest.raises(AssertionError, match="Op type not registered 'NoSuchOp'"):
        engine(str(path), {}, [])


def test_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(FileFormatError, match="there is no"):
        open_runner(Source(tmp_path / "net.pb"))
    path = foreign(tmp_path / "other.pb")
    with pytest.raises(UsageError, match="there is no engine 'onnx'"):
        open_runner(Source(path, engine="onnx"))
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    with pytest.raises(MissingEngineError) as error:
        open_runner(Source(path))
    assert str(error.value).splitlines() == [
        "TensorFlow is not installed",
        "  because  running its files needs it; writing a frozen graph does not",
        "  try      pip install 'mgn-convert[tensorflow]', or --no-verify with a frozen graph",
    ]
