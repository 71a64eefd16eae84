"""Every expansion computes what the node computes: in float64, for batch 1 and 3, by the interpreter."""

import numpy as np
import pytest

from mgn_convert.graph import Graph, GraphBuilder, Origin, rewrite
from mgn_convert.passes.constants import fold_constants
from mgn_convert.passes.expansions import arithmetic, conv, elementwise, matrix, norm, pool, select, shape

C, H, W = 6, 9, 7
X = (C, H, W)


def weights(*dims: int) -> np.ndarray:
    return np.random.default_rng(dims).uniform(-1, 1, dims)


def graph_of(op: str, shapes: list[tuple[int, ...]], **fields) -> Graph:
    b = GraphBuilder("one")
    values = [b.input(f"x{i}", (1, *dims)) for i, dims in enumerate(shapes)]
    return b.graph([b.add(op, *values, name="y", origin=Origin("tensor", "module", "m.py:3"), **fields)])


def expanded(graph: Graph, expansion) -> Graph:
    return rewrite(graph, lambda b, node, inputs: expansion(b, node, inputs) if node.name == "y" else None)


POOL = {"kernel": (3, 3), "stride": (2, 2)}
CASES = [
    (pool.max_pool_by_ceil, "max_pool", [(2, 192, 64)], {**POOL, "padding": (1, 1, 1, 1)}),
    (pool.max_pool_by_ceil, "max_pool", [X], {"kernel": (2, 3), "stride": (2, 3)}),
    (pool.max_pool_by_ceil, "max_pool", [X], {"kernel": (1, 2), "stride": (3, 4)}),
    (pool.max_pool_by_ceil, "max_pool", [X], {"kernel": (5, 3), "stride": (1, 1), "padding": (0, 0, 4, 2)}),
    (pool.max_pool_by_ceil, "max_pool", [X], {"kernel": (4, 4), "stride": (1, 1), "padding": (3, 2, 0, 0)}),
    (pool.avg_pool_by_ceil, "avg_pool", [X], {**POOL, "padding": (1, 1, 1, 1)}),
    (pool.avg_pool_by_ceil, "avg_pool", [X], {**POOL, "padding": (1, 1, 1, 1), "count_include_pad": False}),
    (pool.avg_pool_by_ceil, "avg_pool", [X], {**POOL, "padding": (1, 0, 1, 0), "divisor": 7}),
    (pool.avg_pool_by_ceil, "avg_pool", [(2, 8, 8)], {**POOL, "overhang": (1, 1)}),
    (pool.avg_pool_by_ceil, "avg_pool", [(2, 8, 8)], {**POOL, "padding": (1, 1, 2, 2)}),
    (pool.avg_pool_by_ceil, "avg_pool", [X], {"kernel": (4, 4), "stride": (1, 1), "padding": (0, 0, 3, 2)}),
    (
        conv.dense_kernel,
        "conv_transpose",
        [X],
        {
            "weight": weights(C, 2, 3, 2),
            "bias": weights(6),
            "groups": 3,
            "stride": (2, 3),
            "padding": (1, 2),
            "dilation": (2, 3),
            "output_padding": (1, 2),
        },
    ),
    (
        conv.cells_by_conv,
        "conv_transpose",
        [X],
        {"weight": weights(C, 2, 1, 1), "bias": weights(4), "padding": (1, 2), "groups": 2},
    ),
    (conv.cells_by_conv, "conv_transpose", [X], {"weight": weights(C, 2, 1, 1), "dilation": (2, 2)}),
    (elementwise.clip_by_maximum, "clip", [X], {"min": 0.0, "max": 0.6}),
    (elementwise.clip_by_maximum, "clip", [X], {"min": -0.3, "max": 0.6}),
    (elementwise.clip_by_maximum, "clip", [X], {"min": -0.3, "max": None}),
    (elementwise.clip_by_maximum, "clip", [X], {"min": 0.0, "max": np.inf}),
    (elementwise.gelu_tanh, "gelu", [X], {"approximate": "tanh"}),
    (norm.instance_norm_by_mvn, "instance_norm", [X], {"eps": 1e-3, "weight": weights(C)}),
    (norm.instance_norm_by_mvn, "instance_norm", [X], {"weight": weights(C), "bias": weights(C)}),
    (norm.instance_norm_by_mvn, "instance_norm", [X], {"eps": 0.1}),
    (norm.mvn_by_variance, "mvn", [X], {"eps": 0.1}),
    (norm.mvn_per_channel, "mvn", [X], {"eps": 0.1, "across_channels": True}),
    (norm.scale_by_power, "scale", [X], {"weight": np.float64(2), "bias": np.float64(0.5)}),
    (norm.scale_in_two, "scale", [X], {"weight": weights(C), "bias": weights(C, H)}),
    (shape.permute_by_reshape, "permute", [(C, 1, W)], {"order": (0, 2, 1, 3)}),
    (shape.whole_slice, "slice", [X], {"axis": 1, "start": 0, "stop": C}),
    (shape.pad_by_conv, "pad", [X], {"padding": (1, 0, 2, 3)}),
    (shape.pad_by_conv, "pad", [X], {"padding": (-1, 2, 0, -2), "value": 0.5}),
    (shape.pad_by_conv, "pad", [X], {"padding": (-1, -2, 0, 0)}),
    *(
        (shape.reduce_by_pool, "reduce", [dims], {"kind": kind, "axes": axes, "keepdims": keepdims})
        for kind in ("mean", "sum", "max", "asum", "sumsq")
        for dims, axes in ((X, (2, 3)), (X, (1,)), (X, (1, 3)), (X, (1, 2, 3)), ((5,), (1,)), ((5, 4), (2,)))
        for keepdims in (False, True)
    ),
    (shape.reduce_by_pool, "reduce", [(2, 20, 15)], {"kind": "mean", "axes": (2, 3), "keepdims": True}),
    (arithmetic.div_by_reciprocal, "div", [X, (C, 1, 1)], {}),
    *(
        (arithmetic.spread_operand, op, shapes, {})
        for op in ("add", "sub", "maximum")
        for shapes in ([X, (C, 1, 1)], [(C, H, 1), X], [X, (1, H, W)], [(C, 1, W), X], [(5,), (1,)])
    ),
    (arithmetic.spread_operand, "mul", [X, (1, 1, W)], {}),
    (arithmetic.spread_operand, "mul", [(C, 1, 1), (1, H, W)], {}),
    (arithmetic.spread_operand, "add", [(C, 1, 1), (1, H, W)], {}),
    (arithmetic.spread_operand, "add", [X, (1, 1, 1)], {}),
    (arithmetic.spread_operand, "add", [(1, 5), (4, 1)], {}),
    (arithmetic.spread_operand, "mul", [(1, 3, 1, 4), (2, 3, 5, 1)], {}),
    *(
        (shape.permute_by_conv, "permute", [dims], {"order": order})
        for dims, order in (
            ((8, 3), (0, 2, 1)),
            ((3, 8), (0, 2, 1)),
            (X, (0, 2, 3, 1)),
            (X, (0, 3, 1, 2)),
            (X, (0, 3, 2, 1)),
            (X, (0, 2, 1, 3)),
            ((5, 1, 3), (0, 3, 2, 1)),
            ((3, 2, 4, 5), (0, 4, 2, 1, 3)),
        )
    ),
    *(
        (matrix.matmul_in_rows, "matmul", shapes, {})
        for shapes in (
            [(4, 5), (5, 17)],
            [(4, 5), (5, 3)],
            [(4, 5), (5, 1)],
            [(4, 1), (1, 3)],
            [(1, 5), (5, 20)],
            [(2, 3, 4, 5), (2, 3, 5, 16)],
            [(2, 4, 5), (2, 5, 3)],
            [(130, 100), (100, 110)],
        )
    ),
    *(
        (select.max_unpool_by_phases, "max_unpool", [pooled, dims], {"kernel": kernel, "stride": stride})
        for pooled, dims, kernel, stride in (
            ((C, 4, 3), (C, 8, 6), (2, 2), (2, 2)),
            ((C, 4, 3), X, (2, 2), (2, 2)),
            ((2, 2, 3), (2, 8, 10), (2, 3), (4, 3)),
            ((1, 9, 7), (1, 9, 7), (1, 1), (1, 1)),
        )
    ),
    (select.top_channels_by_rounds, "top_channels", [(20, 4, 3), (20,)], {"k": 6}),
    (select.top_channels_by_rounds, "top_channels", [(20, 4), (20,)], {"k": 1}),
    (select.top_channels_by_rounds, "top_channels", [(5,), (5,)], {"k": 5}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def test_expansion(case):
    expansion, op, shapes, fields = case
    graph = graph_of(op, shapes, **fields)
    simple = expanded(graph, expansion)
    assert simple.nodes[-1].name == "y"
    assert simple.nodes[-1].origin == graph.nodes[0].origin
    assert all(not node.origin.tensor for node in simple.nodes[:-1])
    for batch in (1, 3):
        feeds = {
            f"x{i}": np.random.default_rng(i).uniform(-2, 2, (batch, *dims)) for i, dims in enumerate(shapes)
        }
        # 1e-12: some hundred roundings of float64 at numbers near 1.
        np.testing.assert_allclose(simple.run(feeds)["y"], graph.run(feeds)["y"], rtol=1e-12, atol=1e-12)


def test_gelu_by_a_rational_form():
    graph = graph_of("gelu", [(4001,)])
    x = np.linspace(-8, 8, 4001)[None]
    got, wanted = expanded(graph, elementwise.gelu_erf).run({"x0": x})["y"], graph.run({"x0": x})["y"]
    # 1.5e-7 is the bound of the form for erfc, here times 0.5 |x|, with |x| below 3 where it matters.
    assert np.abs(got - wanted).max() < 2.2e-7


CONSTANTS = [np.float64(1.5), weights(C, 1, 1), weights(H, W), weights(1, C, 1, W), weights(C, H, W)]


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda array: str(array.shape))
@pytest.mark.parametrize("first", [False, True])
def test_constants_become_scales(op, constant, first):
    b = GraphBuilder("one")
    x, c = b.input("x0", (1, *X)), b.add("constant", value=constant)
    graph = b.graph([b.add(op, *((c, x) if first else (x, c)), name="y")])
    simple = expanded(graph, arithmetic.constant_to_scale)
    assert simple.nodes[-1].op == "scale"
    images = {"x0": np.random.default_rng(0).uniform(-2, 2, (3, *X))}
    np.testing.assert_allclose(simple.run(images)["y"], graph.run(images)["y"], rtol=1e-14)


def test_matmul_by_a_constant_is_linear():
    b = GraphBuilder("one")
    x, c = b.input("x0", (1, 4, 5)), b.add("constant", value=weights(5, 3))
    graph = b.graph([b.add("matmul", x, c, name="y")])
    simple = expanded(graph, arithmetic.matmul_by_constant)
    assert simple.nodes[-1].op == "linear"
    images = {"x0": weights(2, 4, 5)}
    np.testing.assert_allclose(simple.run(images)["y"], graph.run(images)["y"], rtol=1e-12)


@pytest.mark.parametrize(
    ("expansion", "op", "shapes", "fields"),
    [
        (shape.permute_by_reshape, "permute", [X], {"order": (0, 2, 3, 1)}),
        (shape.permute_by_reshape, "permute", [(1, 1, 1)], {"order": (1, 0, 2, 3)}),
        (shape.reduce_by_pool, "reduce", [X], {"kind": "sum", "axes": (0, 1)}),
        (shape.pad_by_conv, "pad", [X], {"padding": (1, 1, 1, 1), "value": np.inf}),
        (elementwise.gelu_erf, "gelu", [X], {"approximate": "tanh"}),
        (arithmetic.spread_operand, "mul", [X, X], {}),
        (shape.permute_by_conv, "permute", [X], {"order": (1, 0, 2, 3)}),
        (shape.permute_by_conv, "permute", [(2100, 2101)], {"order": (0, 2, 1)}),
        (matrix.matmul_in_rows, "matmul", [(2048, 288), (288, 2048)], {}),
        (matrix.matmul_in_rows, "matmul", [(3, 4, 5), (1, 5, 4)], {}),
        (select.top_channels_by_rounds, "top_channels", [(80, 2), (80,)], {"k": 65}),
        (arithmetic.constant_to_scale, "add", [X, X], {}),
        (arithmetic.matmul_by_constant, "matmul", [(4, 5), (5, 3)], {}),
    ],
)
def test_expansion_does_not_apply(expansion, op, shapes, fields):
    graph = graph_of(op, shapes, **fields)
    assert [node.op for node in expanded(graph, expansion)] == [op]


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_floor_pooling_of_every_size(size, kernel, stride):
    for padding in range(kernel):
        if size + 2 * padding < kernel or (size + 2 * padding - kernel) // stride * stride >= size + padding:
            continue
        window = {"kernel": (kernel, 1), "stride": (stride, 1), "padding": (padding, 0, padding, 0)}
        for op, expansion in (("max_pool", pool.max_pool_by_ceil), ("avg_pool", pool.avg_pool_by_ceil)):
            graph = graph_of(op, [(1, size, 2)], **window)
            images = {"x0": np.random.default_rng(0).uniform(-2, 2, (1, 1, size, 2))}
            got = expanded(graph, expansion).run(images)["y"]
            np.testing.assert_allclose(got, graph.run(images)["y"], rtol=1e-13)


def test_constant_expressions_are_folded():
    b = GraphBuilder("net")
    x, c = b.input("x", (1, 4)), b.add("constant", value=np.array([1.0, 4, 9, 16]))
    root = b.add("power", c, power=0.5, name="root")
    graph = b.graph([b.add("add", x, b.add("reshape", root, shape=(1, 4)), name="y")])
    folded = fold_constants(graph)
    assert [node.op for node in folded] == ["constant", "add"]
    assert folded.run({"x": np.zeros((2, 4))})["y"].tolist() == [[1, 2, 3, 4]] * 2
