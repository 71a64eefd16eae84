"""Files that are damaged, or of another kind, or whose weights lie outside."""

import contextlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model, node

from mgn_convert.errors import FileFormatError, MgnConvertError, UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.onnx.reader import read

W = np.ones((5, 4), np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def error_of(proto, folder, kind=UnsupportedError) -> str:
    onnx.save(proto, folder / "net.onnx")
    with pytest.raises(kind) as caught:
        read(Source(folder / "net.onnx"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("opsets", "got"),
    [
        ([("", 10)], "opset 10"),
        ([("", 99)], "opset 99"),
        ([], "no opset"),
        ([("com.microsoft", 1)], "no opset"),
    ],
)
def test_operator_sets(tmp_path, opsets, got):
    proto = model([node("Relu", "x")], (5,))
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid(*each) for each in opsets)
    message = error_of(proto, tmp_path)
    assert f"only operator sets 11 to {onnx.defs.onnx_opset_version()} are known" in message
    assert got in message
    assert "export it with opset 17" in message


def test_nodes_in_any_order(tmp_path):
    proto = model([node("Neg", "a"), node("Relu", "x", "a")], (5,))
    onnx.save(proto, tmp_path / "net.onnx")
    assert [n.name for n in read(Source(tmp_path / "net.onnx"))] == ["a", "y"]


DAMAGED = {
    "circle": ([node("Add", "x b", "a"), node("Neg", "a", "b"), node("Neg", "a")], "its nodes form a circle"),
    "dangling": ([node("Add", "x q")], "nobody makes the value 'q'"),
    "twice": ([node("Neg", "x"), node("Relu", "x")], "two make the value 'y'"),
    "output": ([node("Neg", "x", "z")], "nobody makes its output 'y'"),
    "attribute": ([node("LeakyRelu", "x", alpha="much")], "Mismatched attribute type"),
    "surplus": ([node("Relu", "x", slope=1.0)], "Unrecognized attribute"),
    "operands": ([node("Relu", "x x")], "has input size 2 not in range"),
    "too new": ([node("GroupNormalization", "x w3 w3", num_groups=3)], "No Op registered for GroupNorm"),
    "misfit": ([node("Conv", "x w4")], "channels, groups and weight agree"),
    "stride": ([node("Conv", "x w3", strides=[0, 1])], "does not fit its operands"),
    "bias": ([node("BatchNormalization", "x s s s s")], "weight has shape (3,)"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_graphs(tmp_path, name):
    nodes, reason = DAMAGED[name]
    given = {"s": np.ones(4, np.float32), "w4": np.ones((2, 4, 1, 1), np.float32)}
    given["w3"] = np.ones((2, 3, 1, 1), np.float32)
    message = error_of(model(nodes, (3, 5, 4), given), tmp_path, FileFormatError)
    assert reason in message
    assert "net.onnx" in message


def test_a_circle_in_full(tmp_path):
    assert error_of(model(DAMAGED["circle"][0], (5,)), tmp_path, FileFormatError) == (
        "net.onnx cannot be read\n"
        "  because  its nodes form a circle\n"
        '  got      Add "Add to a" needs its own result\n'
        "  try      export it once more"
    )


def test_missing_file(tmp_path):
    with pytest.raises(FileFormatError, match=r"there is no .*net\.onnx"):
        read(Source(tmp_path / "net.onnx"))


def test_something_else(tmp_path):
    for content in (b"", b"\x89PNG\r\n", b"text" * 100, bytes(300)):
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(FileFormatError, match=r"net\.onnx is not an ONNX file") as caught:
            read(Source(tmp_path / "net.onnx"))
        assert caught.value.exit_code == 4
        assert "try      export or copy it once more" in str(caught.value)


def test_weights_that_do_not_fit_their_shape(tmp_path):
    for change in ({"raw_data": W.tobytes()[:-4]}, {"dims": (5, -4)}, {"data_type": 77}, {"raw_data": b""}):
        proto = model([node("MatMul", "x w")], (5,), {"w": W})
        tensor = proto.graph.initializer[0]
        if "dims" in change:
            tensor.dims[:] = change["dims"]
        else:
            (field, value), *_ = change.items()
            setattr(tensor, field, value)
        message = error_of(proto, tmp_path, FileFormatError)
        assert "net.onnx, the tensor 'w' cannot be read" in message


def external(**fields: object) -> onnx.ModelProto:
    proto = model([node("MatMul", "x w")], (5,))
    tensor = proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=W.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "net.bin", **fields}.items():
        tensor.external_data.add(key=key, value=str(value))
    return proto


def saved(proto, folder):
    (folder / "net.onnx").write_bytes(proto.SerializeToString())
    return Source(folder / "net.onnx")


def external_error(folder, **fields) -> str:
    with pytest.raises(FileFormatError) as caught:
        read(saved(external(**fields), folder))
    return str(caught.value)


def test_weights_outside(tmp_path):
    assert "there is no" in external_error(tmp_path)
    assert "put the file of the weights back beside the model" in external_error(tmp_path)
    (tmp_path / "net.bin").write_bytes(b"1234" + W.tobytes())
    assert read(saved(external(offset=4), tmp_path)).parameter_count() == 20
    assert read(saved(external(offset=4, length=80), tmp_path)).parameter_count() == 20
    assert external_error(tmp_path, offset=8) == (
        "net.onnx, the tensor 'w' cannot be read\n"
        "  because  net.bin ends before it\n"
        "  got      8 + 80 of 84 bytes\n"
        "  try      export it once more"
    )
    assert "its numbers do not fit its type and shape" in external_error(tmp_path, length=79)
    assert "its place in another file is no place" in external_error(tmp_path, offset=-4)
    assert "is no place" in external_error(tmp_path, offset="four")


def test_weights_in_another_folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "net.bin").write_bytes(W.tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "net.bin")
    for location in ("../net.bin", str(tmp_path / "net.bin"), "link.bin", "", ".", "a\0b"):
        message = external_error(inside, location=location)
        assert "external data lies in the folder of the file" in message


def full_model() -> onnx.ModelProto:
    """A file with most of what a reader looks at."""
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], strides=[2, 1]),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], ceil_mode=1),
        node("Shape", "p", "s"),
        node("Gather", "s zero", "n"),
        node("Concat", "n rest", "t", axis=0),
        node("Reshape", "p t", "f"),
        node("Gemm", "f g", "m", transB=1),
        node("Softmax", "m"),
    ]
    random = np.random.default_rng(1)
    given = {"w": random.random((2, 3, 3, 3), np.float32), "b": random.random(2, np.float32)}
    given |= {"zero": ints(0), "rest": ints(-1), "g": random.random((4, 16), np.float32)}
    return model(nodes, (3, 6, 5), given)


def read_or_refused(path, content: bytes) -> None:
    path.write_bytes(content)
    with contextlib.suppress(MgnConvertError):
        read(Source(path))


def test_a_file_cut_short_anywhere(tmp_path):
    content = full_model().SerializeToString()
    read_or_refused(tmp_path / "net.onnx", content)
    for length in range(0, len(content), 5):
        read_or_refused(tmp_path / "net.onnx", content[:length])


def test_bytes_changed_anywhere(tmp_path):
    content = full_model().SerializeToString()
    random = np.random.default_rng(2)
    for _ in range(1500):
        changed = bytearray(content)
        for position in random.integers(0, len(content), random.integers(1, 4)):
            changed[position] = random.integers(0, 256)
        read_or_refused(tmp_path / "net.onnx", bytes(changed))


def test_numbers_of_another_type(tmp_path):
    proto = model([node("MatMul", "x w")], (5,))
    proto.graph.initializer.append(numpy_helper.from_array(W.astype(np.float64), "w"))
    onnx.save(proto, tmp_path / "net.onnx")
    assert read(Source(tmp_path / "net.onnx")).node("y").params["weight"].dtype == np.float32
