"""Convolution, pooling, normalisation and resizing: what onnxruntime gives, in operator sets old and new."""

import numpy as np
import pytest
from onnx_models import assert_read, model, node

RANDOM = np.random.default_rng(3)


def weights(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


@pytest.mark.parametrize("opset", [11, 13, 22])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 1], "pads": [1, 0, 1, 0]},
        {"pads": [0, 1, 2, 1], "dilations": [1, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
        {"auto_pad": "VALID", "kernel_shape": [3, 2]},
    ],
)
def test_conv(tmp_path, attributes, opset):
    nodes = [node("Conv", "x w b", group=2, **attributes)]
    assert_read(model(nodes, (4, 9, 7), {"w": weights(6, 2, 3, 2), "b": weights(6)}, opset=opset), tmp_path)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3], "pads": [1, 0, 1, 0], "output_padding": [1, 2]},
        {"strides": [2, 2], "pads": [0, 1, 2, 1], "dilations": [2, 1]},
        {"strides": [2, 2], "pads": [2, 1, 1, 0]},
        {"strides": [2, 2], "output_shape": [9, 8]},
        {"strides": [2, 2], "output_shape": [8, 8], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    ],
)
def test_conv_transpose(tmp_path, attributes):
    nodes = [node("ConvTranspose", "x w b", group=2, **attributes)]
    assert_read(model(nodes, (4, 5, 4), {"w": weights(4, 3, 3, 3), "b": weights(6)}), tmp_path)


@pytest.mark.parametrize("opset", [11, 17, 22])
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"strides": [2, 3], "pads": [0, 1, 1, 0]},
        {"strides": [2, 2], "ceil_mode": 1},
        {"strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 1, 0]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    ],
)
def test_pooling(tmp_path, kind, attributes, opset):
    nodes = [node(kind, "x", kernel_shape=[3, 2], **attributes)]
    assert_read(model(nodes, (5, 10, 7), opset=opset), tmp_path)


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 1, 1, 0]])
def test_average_pooling_that_counts_its_padding(tmp_path, pads):
    nodes = [node("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=pads, count_include_pad=1)]
    assert_read(model(nodes, (5, 10, 7)), tmp_path)


def test_average_pooling_that_counts_its_padding_and_rounds_up(tmp_path):
    nodes = [
        node(
            "AveragePool",
            "x",
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            ceil_mode=1,
            count_include_pad=1,
        )
    ]
    assert_read(model(nodes, (5, 10, 8), opset=19), tmp_path)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4)])
def test_global_pooling(tmp_path, kind, shape):
    assert_read(model([node(kind, "x")], shape), tmp_path)


@pytest.mark.parametrize("opset", [11, 14, 17])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5,)])
def test_batch_norm(tmp_path, opset, shape):
    nodes = [node("BatchNormalization", "x w b m v", epsilon=3e-4)]
    given = {"w": weights(5), "b": weights(5), "m": weights(5), "v": 1 + weights(5) ** 2}
    assert_read(model(nodes, shape, given, opset=opset), tmp_path)


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 7)])
def test_instance_norm(tmp_path, shape):
    nodes = [node("InstanceNormalization", "x w b", epsilon=3e-4)]
    assert_read(model(nodes, shape, {"w": weights(5), "b": weights(5)}), tmp_path)


@pytest.mark.parametrize(
    ("shape", "axis", "spread"),
    [
        ((7, 5), -1, (5,)),
        ((3, 4, 5), 2, (4, 5)),
        ((3, 4, 5), -1, (5,)),
        ((3, 4, 5), 1, (3, 4, 5)),
        ((9,), 1, (9,)),
    ],
)
def test_layer_norm(tmp_path, shape, axis, spread):
    nodes = [node("LayerNormalization", "x w b", axis=axis, epsilon=3e-4)]
    assert_read(model(nodes, shape, {"w": weights(*spread), "b": weights(*spread)}), tmp_path)


def test_layer_norm_without_bias(tmp_path):
    assert_read(model([node("LayerNormalization", "x w")], (7, 5), {"w": weights(5)}), tmp_path)


def test_layer_norm_with_the_images_on_axis_1(tmp_path):
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LayerNormalization", "t w", "n"),
        node("Transpose", "n", perm=[1, 0, 2]),
    ]
    assert_read(model(nodes, (7, 5), {"w": weights(5)}), tmp_path)


def test_group_norm(tmp_path):
    nodes = [node("GroupNormalization", "x w b", num_groups=2, epsilon=3e-4)]
    given = {"w": weights(6), "b": weights(6)}
    assert_read(model(nodes, (6, 5, 3), given, opset=21), tmp_path)


def test_group_norm_as_exported(tmp_path):
    nodes = [
        node("Reshape", "x s", "r"),
        node("InstanceNormalization", "r one zero", "n"),
        node("Shape", "x", "size"),
        node("Reshape", "n size", "u"),
        node("Mul", "u w", "m"),
        node("Add", "m b"),
    ]
    given = {"s": ints(0, 2, -1), "one": floats(1, 1), "zero": floats(0, 0)}
    given |= {"w": weights(6, 1, 1), "b": weights(6, 1, 1)}
    graph = assert_read(model(nodes, (6, 5, 3), given), tmp_path)
    assert [n.op for n in graph][-2:] == ["scale", "scale"]


@pytest.mark.parametrize("order", [1, 2])
def test_lp_norm(tmp_path, order):
    assert_read(model([node("LpNormalization", "x", axis=1, p=order)], (5,)), tmp_path)


RESIZES = [
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"},
    {"mode": "nearest", "coordinate_transformation_mode": "half_pixel"},
    {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    {"mode": "linear"},
    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
    {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
]


@pytest.mark.parametrize("attributes", RESIZES)
@pytest.mark.parametrize(
    "given",
    [{"scales": [2, 3]}, {"scales": [1.5, 0.75]}, {"sizes": [7, 4]}, {"sizes": [10, 8]}, {"sizes": [1, 3]}],
)
@pytest.mark.parametrize("opset", [11, 13, 19])
def test_resize(tmp_path, attributes, given, opset):
    if "scales" in given:
        nodes = [node("Resize", "x - s" if opset > 11 else "x roi s", **attributes)]
        constants = {"s": floats(1, 1, *given["scales"]), "roi": np.zeros(0, np.float32)}
        assert_read(model(nodes, (3, 5, 4), constants, opset=opset), tmp_path)
    else:
        empty = {"roi": np.zeros(0, np.float32), "none": np.zeros(0, np.float32)}
        nodes = [node("Resize", "x - - s" if opset > 11 else "x roi none s", **attributes)]
        constants = {"s": ints(1, 3, *given["sizes"]), **empty}
        assert_read(model(nodes, (3, 5, 4), constants, opset=opset, batch=1), tmp_path)


def test_resize_by_whole_factors_is_a_repetition(tmp_path):
    graph = assert_read(model([node("Resize", "x - s")], (3, 5, 4), {"s": floats(1, 1, 2, 3)}), tmp_path)
    assert [n.op for n in graph] == ["conv_transpose"]


def test_resize_of_height_and_width_alone(tmp_path):
    nodes = [node("Resize", "x - s", axes=[2, 3], mode="linear")]
    assert_read(model(nodes, (3, 5, 4), {"s": floats(2, 1)}, opset=18), tmp_path)
