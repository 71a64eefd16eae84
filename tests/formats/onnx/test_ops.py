"""Every op, written and run in onnxruntime."""

import numpy as np
import onnx
import pytest
from op_cases import BINARY, CASES, arr

from mgn_convert.formats import Source
from mgn_convert.formats.onnx import FORMAT
from mgn_convert.formats.onnx.target import written_ops
from mgn_convert.graph import GraphBuilder
from mgn_convert.graph.ops import OPS
from mgn_convert.graph.ops.pool import ceil_overhang


def test_every_op_can_be_written():
    assert set(written_ops()) == set(OPS)


@pytest.mark.parametrize("op", CASES)
def test_an_op_of_one_value(op, in_onnxruntime):
    b = GraphBuilder("one")
    x = b.input("x", (1, 6, 7, 5))
    if op == "log":
        x = b.add("power", b.add("abs", x), shift=1.0)
    in_onnxruntime(b.graph([b.add(op, x, name="y", **CASES[op][0])]))


@pytest.mark.parametrize("op", BINARY)
def test_an_op_of_two_values(op, in_onnxruntime):
    b = GraphBuilder("two")
    x = b.input("x", (1, 6, 7, 5))
    y = b.add("power", b.add("abs", x), scale=0.5, shift=1.0)
    y = b.add("permute", y, order=(0, 1, 3, 2)) if op == "matmul" else y
    in_onnxruntime(b.graph([b.add(op, x, y, name="y", **({"axis": 1} if op == "concat" else {}))]))


VARIANTS = {
    "linear with a bias": ("linear", dict(weight=arr(4, 5), bias=arr(4))),
    "scale of both": ("scale", dict(weight=arr(6), bias=arr(6))),
    "scale by numbers": ("scale", dict(weight=np.float32(0.3), bias=np.float32(1.5))),
    "prelu of one slope": ("prelu", dict(weight=np.float32(0.3))),
    "gelu by tanh": ("gelu", dict(approximate="tanh")),
    "mean only": ("mvn", dict(normalize_variance=False)),
    "across channels": ("mvn", dict(across_channels=True, eps=0.02)),
    "clip below": ("clip", dict(min=-0.4, max=np.inf)),
    "nothing": ("power", {}),
    "square root": ("power", dict(power=0.5, scale=0.1, shift=1.0)),
    "inverse root": ("power", dict(power=-0.5, scale=0.1, shift=1.0)),
    "inverse": ("power", dict(power=-1.0, shift=4.0)),
    "cube": ("power", dict(power=3.0, scale=-1.0)),
    "bare batch norm": ("batch_norm", dict(mean=arr(6), var=np.abs(arr(6)), eps=0.01)),
    "bare instance norm": ("instance_norm", dict(eps=0.01)),
    "padding that counts": ("avg_pool", dict(kernel=(3, 4), stride=(2, 1), padding=(1, 2, 1, 2))),
    "padding no window reaches": ("max_pool", dict(kernel=(3, 3), stride=(5, 4), padding=(0, 0, 3, 3))),
    "a divisor": ("avg_pool", dict(kernel=(3, 2), stride=(2, 1), padding=(1, 1, 1, 1), divisor=5)),
    "the largest": ("reduce", dict(kind="max", axes=(2,), keepdims=True)),
    "magnitudes": ("reduce", dict(kind="asum", axes=(2, 3))),
    "mean of channels": ("reduce", dict(kind="mean", axes=(1,), keepdims=True)),
    "sum": ("reduce", dict(kind="sum", axes=(-1,))),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_a_variant(case, in_onnxruntime):
    op, fields = VARIANTS[case]
    b = GraphBuilder("one")
    in_onnxruntime(b.graph([b.add(op, b.input("x", (1, 6, 7, 5)), name="y", **fields)]))


def test_instance_norm_of_a_nearly_constant_map(in_onnxruntime):
    b = GraphBuilder("flat")
    x = b.add("threshold", b.input("x", (1, 6, 7, 5)))
    x = b.add("power", x, scale=0.25, shift=1024.0)  # float32 holds these numbers exactly
    in_onnxruntime(b.graph([b.add("instance_norm", x, weight=arr(6), bias=arr(6), name="y")]))


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), [(8, 3, 2, 0), (7, 3, 3, 1), (9, 2, 4, 1)])
def test_ceil_rounding(size, kernel, stride, padding, include, in_onnxruntime):
    over = ceil_overhang(size, kernel, stride, padding)
    fields = dict(
        kernel=(kernel, kernel),
        stride=(stride, stride),
        padding=(padding,) * 4,
        overhang=(over, over),
        count_include_pad=include,
    )
    b = GraphBuilder("one")
    in_onnxruntime(b.graph([b.add("avg_pool", b.input("x", (1, 3, size, size + 1)), name="y", **fields)]))


def test_linear_and_norm_of_vectors(in_onnxruntime):
    b = GraphBuilder("vectors")
    y = b.add("linear", b.input("x", (1, 9)), weight=arr(6, 9), bias=arr(6))
    y = b.add("batch_norm", y, mean=arr(6), var=np.abs(arr(6)) + 0.1, weight=arr(6), bias=arr(6), eps=3e-4)
    in_onnxruntime(b.graph([b.add("mul", y, b.add("constant", value=arr(6)), name="y")]))


@pytest.mark.parametrize("size", [(8, 6), (9, 7)], ids=["even", "odd"])
def test_unpooling_takes_the_first_of_equal_maxima(size, in_onnxruntime):
    b = GraphBuilder("unpool")
    x = b.add("threshold", b.input("x", (1, 6, *size)), threshold=0.3)  # full of ties
    pooled = b.add("max_pool", b.add("sigmoid", x), kernel=(2, 2), stride=(2, 2))
    in_onnxruntime(b.graph([b.add("max_unpool", pooled, x, kernel=(2, 2), stride=(2, 2), name="y")]))


def test_channels_are_chosen_best_first_and_the_lower_of_equal_ones(written):
    b = GraphBuilder("choose")
    x = b.input("x", (1, 50, 4, 3))
    scores = b.add("reduce", b.add("threshold", x), kind="sum", axes=(2, 3))
    graph = b.graph([b.add("top_channels", x, scores, k=24, name="y")])
    images = np.random.default_rng(2).standard_normal((3, 50, 4, 3)).astype(np.float32)
    with FORMAT.open_runner(Source(written(graph))) as runner:
        np.testing.assert_array_equal(runner.run(images)["y"], graph.run({"x": images}, dtype="float32")["y"])


def test_a_fixed_batch_is_filled_up(written):
    b = GraphBuilder("fixed")
    graph = b.graph([b.add("power", b.input("x", (1, 2, 3, 4)), scale=2.0, name="y")])
    path = written(graph)
    proto = onnx.load(path)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(proto, path)
    images = arr(5, 2, 3, 4).astype(np.float32)
    with FORMAT.open_runner(Source(path)) as runner:
        np.testing.assert_array_equal(runner.run(images)["y"], 2 * images)
