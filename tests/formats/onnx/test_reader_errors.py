"""Files that cannot be read: every message names the node, the reason and a way out."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import model, node

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.onnx.reader import read

W = np.ones((5, 4), np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def error_of(proto, folder, kind=UnsupportedError, **options) -> str:
    onnx.save(proto, folder / "net.onnx")
    with pytest.raises(kind) as caught:
        read(Source(folder / "net.onnx", **options))
    return str(caught.value)


def test_all_refusals_are_one_error(tmp_path):
    """Also those behind others, but not those that no output needs."""
    nodes = [
        node("Einsum", "x x", "e", equation="nc,nc->nc"),
        node("CumSum", "e axis", "c"),
        helper.make_node("FusedGelu", ["c"], ["y"], domain="com.microsoft"),
        node("Det", "x", "unused"),
    ]
    assert error_of(model(nodes, (5,), {"axis": ints(1)}), tmp_path) == (
        "3 nodes cannot be read\n\n"
        'the node Einsum "Einsum to e" cannot be read\n'
        "  at       Einsum to e (net.onnx)\n"
        "  because  there is no rule for Einsum\n"
        '  try      a network without it, or add a rule: CONTRIBUTING.md, "Add an op"\n\n'
        'the node CumSum "CumSum to c" cannot be read\n'
        "  at       CumSum to c (net.onnx)\n"
        "  because  there is no rule for CumSum\n"
        '  try      a network without it, or add a rule: CONTRIBUTING.md, "Add an op"\n\n'
        'the node FusedGelu "y" cannot be read\n'
        "  at       y (net.onnx)\n"
        "  because  there is no rule for FusedGelu of com.microsoft\n"
        '  try      a network without it, or add a rule: CONTRIBUTING.md, "Add an op"'
    )


def test_a_refusal_tells_shapes(tmp_path):
    proto = model([node("Resize", "x - s", mode="cubic")], (3, 5, 4), {"s": np.ones(4, np.float32)})
    assert error_of(proto, tmp_path) == (
        'the node Resize "Resize to y" cannot be read\n'
        "  at       Resize to y (net.onnx)\n"
        "  because  it is of mode cubic\n"
        "  got      Nx3x5x4, 4\n"
        "  try      mode nearest or linear"
    )


MIXES = "it mixes or picks the images of a batch"
NUMBERS = {"a": ints(0), "b": ints(4), "c": ints(1), "d": ints(2), "e": ints(0, 0, 1, 1, 0, 0, 1, 1)}
NUMBERS |= {"f": ints(0, 1, 0, 0, 0, 0, 0, 0), "g": ints(-1, 7), "i": np.array(0), "w": W[:4, :3]}
REFUSED = {
    "images joined": (node("Concat", "x x", axis=0), MIXES),
    "images reduced": (node("ReduceMean", "x"), MIXES),
    "one image": (node("Gather", "x i"), MIXES),
    "filters": (node("Conv", "x x"), "its operand 1 is computed from the image, and a constant is needed"),
    "steps": (node("Slice", "x a b c d"), "it takes elements in steps of [2]"),
    "nothing": (node("Slice", "x b b c"), "nothing is left of axis 1, which it cuts from 4 to 4"),
    "reflect": (node("Pad", "x e", mode="reflect"), "it pads by reflect"),
    "channels padded": (node("Pad", "x f"), "it pads other axes than height and width"),
    "integers": (node("Cast", "x", to=TensorProto.INT32), "it turns numbers of the image into integers"),
    "erf": (node("Erf", "x"), "Erf is known within 0.5 * x * (1 + erf(x / sqrt(2))) alone"),
    "exponent": (node("Pow", "x w"), "its exponent is not one number"),
    "gaps": (node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 1]), "its windows have gaps"),
    "top": (node("TopK", "x c", "v y"), "it chooses along another axis than the channels of (N, C)"),
    "shapes": (node("Reshape", "x g"), "does not become"),
    "constant": (node("Neg", "w"), "it is not computed from the image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(tmp_path, name):
    refused, reason = REFUSED[name]
    assert reason in error_of(model([refused], (5, 4, 3), NUMBERS), tmp_path)


def test_statistics_of_the_batch(tmp_path):
    given = dict.fromkeys("wbmv", np.ones(5, np.float32))
    nodes = [node("BatchNormalization", "x w b m v", "y m2 v2", training_mode=1)]
    message = error_of(model(nodes, (5, 4, 3), given), tmp_path)
    assert "it normalises by the statistics of the batch" in message


def test_a_number_made_of_the_number_of_images(tmp_path):
    nodes = [
        node("Shape", "x", "n", end=1),
        node("Cast", "n", "f", to=TensorProto.FLOAT),
        node("Div", "x f"),
    ]
    assert error_of(model(nodes, (5, 4)), tmp_path) == (
        "net.onnx cannot be read\n  because  its arithmetic depends on the number of images"
    )


def test_a_constant_that_differs_from_image_to_image(tmp_path):
    given = {"w": np.arange(15, dtype=np.float32).reshape(3, 5)}
    message = error_of(model([node("Add", "x w")], (5,), given, batch=3), tmp_path)
    assert "a constant of it differs from image to image" in message


def test_indices_used_as_numbers(tmp_path):
    nodes = [node("TopK", "x k", "v i"), node("Add", "i i")]
    message = error_of(model(nodes, (5,), {"k": ints(2)}), tmp_path)
    assert "there is no rule for what it does with the result of TopK" in message


def test_preprocessing_inside(tmp_path):
    proto = model([node("Relu", "x")], (5,))
    helper.set_model_props(proto, {"mgn-convert.processing": "{}"})
    assert error_of(proto, tmp_path) == (
        "net.onnx cannot be read\n"
        "  because  it has preprocessing inside\n"
        "  try      convert the file without it"
    )


def test_inputs(tmp_path):
    proto = model([node("Add", "x z")], (5,))
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 5]))
    assert "the inputs x, z" in error_of(proto, tmp_path)
    proto = model([node("Relu", "x")], (5,))
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert "x of UINT8" in error_of(proto, tmp_path)
    assert "x of 5 axes" in error_of(model([node("Relu", "x")], (5, 4, 3, 2)), tmp_path)


def test_weights_among_the_inputs(tmp_path):
    proto = model([node("Mul", "x w")], (4,), {"w": W[:1]})
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 4]))
    onnx.save(proto, tmp_path / "net.onnx")
    assert [value.name for value in read(Source(tmp_path / "net.onnx")).inputs] == ["x"]


def test_open_sizes(tmp_path):
    proto = model([node("Relu", "x")], (3, "height", "width"))
    assert error_of(proto, tmp_path, UsageError) == (
        "net.onnx leaves the size of its images open\n"
        "  because  a converted network has one size\n"
        "  got      x of 3x?x?\n"
        "  try      --input-shape 3,384,128"
    )
    assert read(Source(tmp_path / "net.onnx", input_shape=(3, 6, 4))).inputs[0].shape == (1, 3, 6, 4)
    message = error_of(proto, tmp_path, UsageError, input_shape=(1, 6, 4))
    assert "net.onnx does not take images of 1x6x4\n  because  its input x has 3x?x?" in message
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    assert "got      x of no shape" in error_of(proto, tmp_path, UsageError)
    assert read(Source(tmp_path / "net.onnx", input_shape=(3, 6, 4))).inputs[0].shape == (1, 3, 6, 4)


def test_one_output_of_several(tmp_path):
    nodes = [node("Relu", "x", "y"), node("Det", "x", "bad"), node("Neg", "y", "z")]
    proto = model(nodes, (5,), outputs="y bad z")
    onnx.save(proto, tmp_path / "net.onnx")
    for wanted in ("z", "2"):
        graph = read(Source(tmp_path / "net.onnx", output=wanted))
        assert (graph.outputs, [n.name for n in graph]) == (("z",), ["y", "z"])
    assert error_of(proto, tmp_path, UsageError, output="q") == (
        "there is no output 'q'\n"
        "  because  an output is named by its name or its index\n"
        "  got      y, bad, z\n"
        "  try      --output y"
    )


def test_names_and_origins(tmp_path):
    nodes = [node("HardSwish", "x", "a"), node("Identity", "a", "y")]
    onnx.save(model(nodes, (5, 4)), tmp_path / "net.onnx")
    graph = read(Source(tmp_path / "net.onnx"))
    assert graph.outputs == ("y",)
    found = [(n.name, n.origin.tensor, n.origin.module, n.origin.source) for n in graph]
    assert found[:1] == [("a.power", "", "HardSwish to a", "net.onnx")]
    assert found[-1] == ("y", "y", "Identity to y", "net.onnx")
