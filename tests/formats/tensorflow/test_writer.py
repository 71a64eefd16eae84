"""Frozen graphs: what is in the file, and that TensorFlow is not needed to write one."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from mgn_convert.errors import MissingEngineError, UnsupportedError, UsageError
from mgn_convert.formats.tensorflow import environment, graphdef
from mgn_convert.formats.tensorflow.target import target
from mgn_convert.graph import GraphBuilder, Origin
from mgn_convert.packaging import Names, Packaging, Processing
from mgn_convert.protobuf.schema import message_class


def nodes_of(path) -> dict:
    message = message_class("tensorflow.proto", "tensorflow.GraphDef").FromString(path.read_bytes())
    assert message.versions.producer == 440
    return {node.name: node for node in message.node}


def conv_net(count: int = 1, *, size: int = 6):
    """Convolutions of one weight in a row, each a tensor of the first graph."""
    b = GraphBuilder("net")
    x = b.input("images", (1, size, 9, 7))
    weight = np.random.default_rng(0).normal(size=(size, size, 3, 3)).astype(np.float32)
    for i in range(count):
        origin = Origin(f"body.{i}.conv", "body")
        x = b.add("conv", x, weight=weight, padding=(1, 1), name=f"body.{i}.conv", origin=origin)
    return b.graph([x])


def test_an_mgn_takes_no_transpose_and_no_pad(small_mgn, written):
    kinds = Counter(node.op for node in nodes_of(written(small_mgn).files[0]).values())
    assert not {"Transpose", "Pad", "PadV2"} & set(kinds)
    assert kinds["Conv2D"] == kinds["FusedBatchNormV3"] == 7
    assert kinds["MaxPool"] == 3


def test_names_are_module_paths_and_the_batch_is_open(small_mgn, written):
    nodes = nodes_of(written(small_mgn).files[0])
    assert nodes["block/downsample/0"].op == "Conv2D"
    (start,) = (node for node in nodes.values() if node.op == "Placeholder")
    shape = next(entry.value.shape for entry in start.attr if entry.key == "shape")
    assert [dim.size for dim in shape.dim] == [-1, 48, 16, 3]


def test_places_name_every_tensor_of_the_first_graph(written):
    made = written(conv_net(2))
    assert made.tensors == (
        ("body.0.conv", {"value": "body/0/conv:0"}, ("body.0.conv",)),
        ("body.1.conv", {"value": "body/1/conv:0"}, ("body.1.conv",)),
    )
    assert made.input == {"value": "images:0"}
    assert made.result == {}


def test_ends_are_called_as_wished(written):
    made = written(conv_net(), Packaging(Names(input="image_tensor", output="person_embedding")))
    nodes = nodes_of(made.files[0])
    assert nodes["image_tensor"].op == "Placeholder"
    assert nodes["person_embedding"].op == "Identity"
    assert made.tensors[-1][1] == {"value": "person_embedding:0"}


def test_the_result_has_a_name_of_its_own(small_mgn, written):
    nodes = nodes_of(written(small_mgn, Packaging(processing=Processing(None, True))).files[0])
    assert nodes["result_embedding"].op == "RealDiv"
    assert nodes["embedding_norm"].op == "Sqrt"
    assert Counter(node.op for node in nodes.values())["Conv2D"] == 7


@pytest.mark.parametrize("name", ["_hidden", "two words", "a:0", "-x"])
def test_a_name_that_tensorflow_does_not_take_is_refused(written, name):
    with pytest.raises(UsageError) as error:
        written(conv_net(), Packaging(Names(output=name)))
    assert str(error.value).splitlines() == [
        f"TensorFlow has no node called {name!r}",
        "  because  a name has letters, digits and _ . / -, and begins with a letter, a digit or a dot",
    ]


def test_ends_of_one_name_are_refused(written):
    with pytest.raises(UsageError, match="ends of a file have different names\n  got      x, X"):
        written(conv_net(), Packaging(Names(input="x", output="X")))


def test_values_of_awkward_names_stay_apart(in_tensorflow):
    b = GraphBuilder("net")
    x = b.input("x", (1, 3, 4, 5))
    names = ["a b", "a_b", "A_B", "a.b", "a/b", "..", "_a", "x", "ä", "a.b.weight", "-1"]
    values = [b.add("power", x, shift=i + 1.0, name=name) for i, name in enumerate(names)]
    values.append(b.add("scale", x, weight=np.arange(3.0), name="a.b.scale"))
    in_tensorflow(b.graph(values))


def test_an_input_can_be_an_output_and_outputs_can_repeat_nothing(in_tensorflow):
    b = GraphBuilder("net")
    x = b.input("x", (1, 3, 4, 5))
    in_tensorflow(b.graph([b.add("reshape", x, shape=(0, 3, 4, 5)), b.add("relu", x)]))


def test_a_shared_weight_is_written_once(written):
    sizes = [written(conv_net(count)).files[0].stat().st_size for count in (1, 2)]
    assert sizes[1] - sizes[0] < 6 * 6 * 9 * 4


def test_files_are_the_same_every_time(small_mgn, written, tmp_path):
    first = written(small_mgn).files[0].read_bytes()
    assert written(small_mgn).files[0].read_bytes() == first


def test_weights_are_streamed_as_protobuf_would_write_them(written):
    path = written(conv_net(2)).files[0]
    message = message_class("tensorflow.proto", "tensorflow.GraphDef").FromString(path.read_bytes())
    assert message.SerializeToString() == path.read_bytes()
    tensor = next(e.value.tensor for e in message.node[1].attr if e.key == "value")
    weight = conv_net().nodes[0].params["weight"]
    assert [dim.size for dim in tensor.tensor_shape.dim] == [3, 3, 6, 6]
    assert tensor.tensor_content == np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).tobytes()


def test_a_file_of_more_than_2_gib_is_refused_before_the_first_byte(written, monkeypatch, tmp_path):
    size = written(conv_net()).files[0].stat().st_size
    monkeypatch.setattr(graphdef, "LARGEST", size - 1)
    with pytest.raises(UnsupportedError) as error:
        written(conv_net())
    assert str(error.value).splitlines() == [
        "the network is too large for one frozen graph",
        f"  because  protobuf, and so TensorFlow, reads at most {size - 1} bytes",
        f"  got      {size} bytes",
        "  try      --format saved-model, which keeps its weights in files of their own",
    ]
    assert (tmp_path / "net.pb").stat().st_size == 0


def test_writing_a_frozen_graph_imports_no_tensorflow():
    program = """
import sys, tempfile
from pathlib import Path
from mgn_convert.formats.tensorflow import FORMAT
from mgn_convert.graph import GraphBuilder
b = GraphBuilder("net")
graph = b.graph([b.add("relu", b.input("x", (1, 3, 4, 5)))])
with tempfile.TemporaryDirectory() as folder:
    FORMAT.write(graph, Path(folder), "net", FORMAT.target(None))
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_savedmodel_needs_tensorflow(written, monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    with pytest.raises(MissingEngineError) as error:
        written(conv_net(), dialect="saved-model")
    assert str(error.value).splitlines() == [
        "TensorFlow is not installed",
        "  because  writing a SavedModel needs it; writing a frozen graph does not",
        "  try      pip install 'mgn-convert[tensorflow]', or --no-verify with a frozen graph",
    ]
    assert not list(tmp_path.iterdir())


def test_an_unknown_kind_of_file_is_refused():
    with pytest.raises(UsageError) as error:
        target("tflite")
    assert str(error.value).splitlines() == [
        "tensorflow has no format 'tflite'",
        "  try      --format with one of frozen, saved-model",
    ]


def test_a_reshape_of_two_open_axes_is_refused(written):
    b = GraphBuilder("net")
    x = b.input("x", (2, 3))
    pairs = b.add("matmul", x, b.add("permute", x, order=(1, 0)))
    with pytest.raises(UnsupportedError, match="one axis at most may depend on the batch"):
        written(b.graph([b.add("linear", b.add("reshape", pairs, shape=(0, 0, 1)), weight=np.ones((1, 1)))]))


def test_mirror_images_need_an_open_batch(written):
    b = GraphBuilder("net")
    y = b.add("reshape", b.input("x", (2, 3, 4, 4)), shape=(2, 48))
    with pytest.raises(UnsupportedError, match="the postprocessing needs a network for any batch"):
        written(b.graph([y]), Packaging(processing=Processing(None, True)))
