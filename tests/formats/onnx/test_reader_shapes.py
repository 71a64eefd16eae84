"""Values moved about, for any number of images, whether a file says so or is made for a fixed number."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import assert_read, model, node

RANDOM = np.random.default_rng(3)
EVERY_BATCH = pytest.mark.parametrize("batch", ["N", 1, 3])


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array))


@EVERY_BATCH
@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((6, 4, 3), (0, -1)),
        ((6, 4, 3), (-1, 72)),
        ((6, 4, 3), (0, 2, 3, 4, 3)),
        ((6, 4, 3), (0, 0, 12)),
        ((6, 4), (-1, 4)),
        ((6, 4), (-1, 3, 4)),
    ],
)
def test_reshape(tmp_path, shape, target, batch):
    nodes = [node("Reshape", "x t", "r"), node("Reshape", "r back")]
    given = {"t": ints(*target), "back": ints(-1, *shape)}
    graph = assert_read(model(nodes, shape, given, batch=batch), tmp_path)
    assert all(n.attrs["shape"][0] in (0, -1) or -1 in n.attrs["shape"] for n in graph)


@pytest.mark.parametrize("target", [(-1, 72), (0, 72), ("B", 72), ("B", -1), ("B", 2, -1, 3)])
@pytest.mark.parametrize("batch", [1, 3, 5])
def test_reshape_of_a_fixed_number_of_images(tmp_path, target, batch):
    numbers = ints(*(batch if n == "B" else n for n in target))
    assert_read(model([node("Reshape", "x t")], (6, 4, 3), {"t": numbers}, batch=batch), tmp_path)


@pytest.mark.parametrize("batch", [1, 3])
def test_heads_put_beside_the_images_and_taken_away(tmp_path, batch):
    """As multi-head attention is exported: (N, L, E) to (L, N h, d) to (N h, L, d) and back."""
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("Reshape", "t heads", "h"),
        node("Transpose", "h", "ht", perm=[1, 0, 2]),
        node("Softmax", "ht", "s", axis=2),
        node("Transpose", "s", "st", perm=[1, 0, 2]),
        node("Reshape", "st together", "r"),
        node("Transpose", "r", perm=[1, 0, 2]),
    ]
    given = {"heads": ints(5, 2 * batch, 3), "together": ints(5, batch, 6)}
    assert_read(model(nodes, (5, 6), given, batch=batch), tmp_path)


@EVERY_BATCH
def test_a_shape_that_is_computed(tmp_path, batch):
    """x.view(x.size(0), 2, -1), as torch.onnx writes it."""
    nodes = [
        node("Shape", "x", "size"),
        constant("zero", np.array(0, np.int64)),
        node("Gather", "size zero", "n"),
        node("Unsqueeze", "n first", "n1"),
        node("Concat", "n1 two rest", "target", axis=0),
        node("Cast", "target", "whole", to=TensorProto.INT64),
        node("Reshape", "x whole"),
    ]
    given = {"first": ints(0), "two": ints(2), "rest": ints(-1)}
    graph = assert_read(model(nodes, (6, 4), given, batch=batch), tmp_path)
    assert [dict(n.attrs) for n in graph] == [{"shape": (0, 2, 12)}]


@pytest.mark.parametrize("opset", [15, 21])
def test_parts_of_a_shape(tmp_path, opset):
    nodes = [
        node("Shape", "x", "n", end=1),
        node("Shape", "x", "hw", start=-2),
        node("ReduceProd", "hw", "p", keepdims=1),
        node("Concat", "n c p", "target", axis=0),
        node("Reshape", "x target"),
    ]
    assert_read(model(nodes, (6, 4, 3), {"c": ints(6)}, opset=opset), tmp_path)


@EVERY_BATCH
@pytest.mark.parametrize("axis", [1, 2, -1, 3])
def test_flatten(tmp_path, axis, batch):
    if axis == 1:
        assert_read(model([node("Flatten", "x", axis=axis)], (6, 4, 3), batch=batch), tmp_path)
        return
    nodes = [node("Flatten", "x", "f", axis=axis), node("Reshape", "f back")]
    assert_read(model(nodes, (6, 4, 3), {"back": ints(-1, 6, 4, 3)}, batch=batch), tmp_path)


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(tmp_path, opset):
    if opset < 13:
        nodes = [node("Unsqueeze", "x", "u", axes=[1, -1]), node("Squeeze", "u", axes=[-1, 1])]
        given = {}
    else:
        nodes, given = (
            [node("Unsqueeze", "x a", "u"), node("Squeeze", "u b")],
            {"a": ints(1, -1), "b": ints(-1, 1)},
        )
    assert_read(model(nodes, (6, 4), given, opset=opset), tmp_path)


def test_squeeze_of_all(tmp_path):
    assert_read(model([node("Squeeze", "x")], (6, 1, 1), batch=3), tmp_path)


def test_transpose(tmp_path):
    assert_read(model([node("Transpose", "x", perm=[0, 3, 1, 2])], (5, 4, 3)), tmp_path)


TOP = np.iinfo(np.int64).max


@EVERY_BATCH
@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [3], [1], [1]),
        ([-3, 1], [TOP, -1], [1, 2], None),
        ([0, 1, 0, 1], [TOP, 4, TOP, 2], None, [1, 1, 1, 1]),
        ([0, 2], [TOP, TOP], [0, -1], None),
    ],
)
def test_slice(tmp_path, starts, ends, axes, steps, batch):
    given = {"s": ints(*starts), "e": ints(*ends)}
    given |= {"a": ints(*axes)} if axes else {}
    given |= {"t": ints(*steps)} if steps else {}
    operands = "x s e " + ("a" if axes else "-") + (" t" if steps else "")
    assert_read(model([node("Slice", operands)], (5, 4, 3), given, batch=batch), tmp_path)


@pytest.mark.parametrize(
    ("opset", "attributes", "given"),
    [
        (11, {"split": [2, 3]}, {}),
        (13, {}, {"s": ints(2, 3)}),
        (18, {}, {"s": ints(4, 1)}),
        (18, {"num_outputs": 2}, {}),
    ],
)
def test_split(tmp_path, opset, attributes, given):
    nodes = [node("Split", " ".join(["x", *given]), "y z", axis=1, **attributes)]
    assert_read(model(nodes, (5, 4), given, opset=opset, outputs="y z"), tmp_path)


def test_split_into_equal_parts(tmp_path):
    nodes = [node("Split", "x", "y z w", axis=-1)]
    assert_read(model(nodes, (5, 6), opset=13, outputs="w y"), tmp_path)


@pytest.mark.parametrize(
    "indices", [ints(2), np.array(-1), ints(1, 2, 3), ints(4, 0, 1, -1), np.array(0, np.int32)]
)
@pytest.mark.parametrize("axis", [1, -1])
def test_gather(tmp_path, indices, axis):
    assert_read(model([node("Gather", "x i", axis=axis)], (5, 4, 5), {"i": indices}), tmp_path)


@EVERY_BATCH
@pytest.mark.parametrize("by", ["Gather", "Split"])
def test_parts_of_a_permutation(tmp_path, by, batch):
    """Queries, keys and values are cut before the permutation."""
    nodes = [node("Transpose", "x", "t", perm=[2, 0, 1, 3])]
    if by == "Gather":
        nodes += [node("Gather", f"t {i}", f"y{i}") for i in range(3)]
        given = {str(i): np.array(i) for i in range(3)}
    else:
        nodes += [node("Split", "t", "s0 s1 s2", axis=0)]
        nodes += [node("Squeeze", f"s{i} axes", f"y{i}") for i in range(3)]
        given = {"axes": ints(0)}
    graph = assert_read(model(nodes, (5, 3, 4), given, batch=batch, opset=13, outputs="y0 y1 y2"), tmp_path)
    assert [n.op for n in graph] == ["slice", "reshape", "permute"] * 3


@EVERY_BATCH
def test_concat_with_a_constant(tmp_path, batch):
    """A class token, once for each image."""
    nodes = [
        node("Shape", "x", "n", end=1),
        node("Concat", "n rest", "size", axis=0),
        node("Expand", "token size", "tokens"),
        node("Concat", "tokens x", "c", axis=1),
        node("Add", "c place"),
    ]
    given = {"rest": ints(-1, -1), "token": RANDOM.standard_normal((1, 2, 5)).astype(np.float32)}
    given |= {"place": RANDOM.standard_normal((1, 9, 5)).astype(np.float32), "rest": ints(1, 1)}
    assert_read(model(nodes, (7, 5), given, batch=batch), tmp_path)


def test_concat_with_a_longer_constant(tmp_path):
    given = {"w": RANDOM.standard_normal((3, 9, 5)).astype(np.float32)[:1].repeat(3, 0)}
    nodes = [node("Concat", "x w x", axis=1)]
    assert_read(model(nodes, (7, 5), given, batch=3), tmp_path)


@EVERY_BATCH
def test_expand(tmp_path, batch):
    nodes = [
        node("GlobalAveragePool", "x", "p"),
        node("Shape", "x", "size"),
        node("Expand", "p size", "e"),
        node("Relu", "e", "r"),
        node("Mul", "x r"),
    ]
    assert_read(model(nodes, (5, 4, 3), batch=batch), tmp_path)


def test_expand_before_arithmetic_is_left_to_it(tmp_path):
    """torch.nn.functional.normalize."""
    nodes = [
        node("ReduceL2", "x", "n", axes=[1], keepdims=1),
        node("Clip", "n low", "c"),
        node("Shape", "x", "size"),
        node("Expand", "c size", "e"),
        node("Div", "x e"),
    ]
    graph = assert_read(model(nodes, (5,), {"low": np.float32(1e-12)}), tmp_path)
    assert [n.op for n in graph] == ["reduce", "power", "clip", "div"]


def test_a_filled_constant(tmp_path):
    nodes = [
        node("Shape", "x", "size"),
        helper.make_node(
            "ConstantOfShape", ["size"], ["c"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.7])
        ),
        node("Mul", "c w", "f"),
        node("Sub", "x f"),
    ]
    given = {"w": RANDOM.standard_normal((5, 1)).astype(np.float32)}
    graph = assert_read(model(nodes, (5, 4), given), tmp_path)
    assert [n.op for n in graph] == ["scale"]


def test_tile(tmp_path):
    assert_read(model([node("Tile", "x r")], (5, 2, 3), {"r": ints(1, 1, 3, 2)}), tmp_path)


@pytest.mark.parametrize("value", [None, 0.5])
def test_pad(tmp_path, value):
    given = {"p": ints(0, 0, 1, 2, 0, 0, 0, -1)}
    given |= {} if value is None else {"v": np.float32(value)}
    assert_read(
        model([node("Pad", "x p" + (" v" if given.keys() > {"p"} else ""))], (5, 4, 3), given), tmp_path
    )


def test_pad_of_named_axes(tmp_path):
    given = {"p": ints(1, 2, 0, 3), "a": ints(-1, 2)}
    assert_read(model([node("Pad", "x p - a")], (5, 4, 3), given, opset=18), tmp_path)


@pytest.mark.parametrize("attributes", [{"mode": "DCR"}, {"mode": "CRD"}])
def test_depth_to_space(tmp_path, attributes):
    assert_read(model([node("DepthToSpace", "x", blocksize=2, **attributes)], (12, 3, 2)), tmp_path)


def test_space_to_depth(tmp_path):
    assert_read(model([node("SpaceToDepth", "x", blocksize=2)], (3, 4, 6)), tmp_path)


def test_arithmetic_of_two_that_are_expanded(tmp_path):
    """Neither has the size of the result."""
    nodes = [
        node("GlobalAveragePool", "x", "p"),
        node("GlobalMaxPool", "x", "q"),
        node("Shape", "x", "size"),
        node("Expand", "p size", "e"),
        node("Expand", "q size", "f"),
        node("Sub", "e f"),
    ]
    assert_read(model(nodes, (5, 4, 3)), tmp_path)
