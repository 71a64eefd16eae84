"""Functions, arithmetic, products and reductions: what onnxruntime gives, in operator sets old and new."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import assert_read, model, node

RANDOM = np.random.default_rng(3)


def weights(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


ACTIVATIONS = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.3},
    "Elu": {"alpha": 0.7},
    "Selu": {},
    "Celu": {"alpha": 0.7},
    "Sigmoid": {},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "HardSwish": {},
    "Tanh": {},
    "Softplus": {},
    "Softsign": {},
    "Mish": {},
    "ThresholdedRelu": {"alpha": 0.5},
    "Abs": {},
    "Exp": {},
    "Neg": {},
    "Identity": {},
    "Dropout": {},
}


@pytest.mark.parametrize("op", ACTIVATIONS)
def test_activations(tmp_path, op):
    nodes = [node("Neg", "x", "n"), node(op, "n", **ACTIVATIONS[op])]
    assert_read(model(nodes, (5, 4, 3), opset=18), tmp_path)


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(tmp_path, op):
    assert_read(model([node(op, "x")], (5, 4, 3)), tmp_path, low=0.1)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(tmp_path, approximate):
    assert_read(model([node("Gelu", "x", approximate=approximate)], (5, 3), opset=20), tmp_path)


@pytest.mark.parametrize("shape", [(), (1,), (5, 1, 1), (1, 5, 1, 1)])
def test_prelu(tmp_path, shape):
    assert_read(model([node("PRelu", "x w")], (5, 4, 3), {"w": weights(*shape)}), tmp_path)


@pytest.mark.parametrize("operands", ["x low high", "x low", "x - high", "x"])
def test_clip(tmp_path, operands):
    given = {"low": np.float32(-0.5), "high": np.float32(0.75)}
    assert_read(model([node("Clip", operands)], (5, 4), given), tmp_path)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("attributes", [{}, {"axis": 1}, {"axis": 2}, {"axis": -1}])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(tmp_path, op, attributes, opset):
    assert_read(model([node(op, "x", **attributes)], (5, 4, 3), opset=opset), tmp_path)


@pytest.mark.parametrize("op", ["Greater", "Less"])
@pytest.mark.parametrize("operands", ["x t", "t x"])
def test_comparison(tmp_path, op, operands):
    nodes = [node(op, operands, "b"), node("Cast", "b", to=TensorProto.FLOAT)]
    assert_read(model(nodes, (5, 4, 3), {"t": np.float32(0.3)}), tmp_path)


HALF, ONE, ROOT = np.float32(0.5), np.float32(1), np.float32(2**0.5)
GELUS = {
    "half last": ["Mul x a p", "Mul p half y"],
    "half first": ["Mul x half p", "Mul p a y"],
    "half in the middle": ["Mul a half p", "Mul p x y"],
    "divided": ["Mul a x p", "Div p two y"],
}


@pytest.mark.parametrize("steps", GELUS.values(), ids=GELUS)
@pytest.mark.parametrize("inner", ["Div x root d", "Mul root_inverse x d"])
def test_gelu_in_pieces(tmp_path, steps, inner):
    rows = [inner, "Erf d e", "Add e one a", *steps]
    nodes = [node(op, " ".join(names[:-1]), names[-1]) for op, *names in map(str.split, rows)]
    given = {"half": HALF, "one": ONE, "root": ROOT, "root_inverse": 1 / ROOT, "two": np.float32(2)}
    graph = assert_read(model(nodes, (5, 4), given), tmp_path)
    assert [n.op for n in graph] == ["gelu"]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize("shape", [(), (1,), (5, 1, 1), (1, 5, 1, 1), (4, 3), (1, 3), (5, 4, 3)])
def test_arithmetic_with_constants(tmp_path, op, shape):
    constant = 1.5 + weights(*shape)
    assert_read(model([node(op, "x w")], (5, 4, 3), {"w": constant}), tmp_path)
    assert_read(model([node(op, "w x")], (5, 4, 3), {"w": constant}), tmp_path, low=0.5)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
def test_arithmetic_of_values(tmp_path, op):
    nodes = [node("Exp", "x", "e"), node("GlobalAveragePool", "e", "p"), node(op, "x p")]
    assert_read(model(nodes, (5, 4, 3)), tmp_path)


@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min"])
@pytest.mark.parametrize("operands", ["e", "x e", "x e w", "w x e v"])
def test_many_operands(tmp_path, op, operands):
    nodes = [node("Exp", "x", "e"), node(op, operands)]
    given = {"w": weights(5, 1, 1), "v": np.float32(0.3)}
    assert_read(model(nodes, (5, 4, 3), given), tmp_path)


@pytest.mark.parametrize("exponent", [2.0, 0.5, -1.0, 3.0])
def test_pow(tmp_path, exponent):
    assert_read(model([node("Pow", "x e")], (5, 4), {"e": np.float32(exponent)}), tmp_path, low=0.1)


@pytest.mark.parametrize("bias", [None, (6,), (1, 6), (), (1,)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(tmp_path, transposed, bias):
    given = {"w": weights(*((6, 5) if transposed else (5, 6)))}
    if bias is not None:
        given["b"] = weights(*bias)
    operands = "x w" if bias is None else "x w b"
    nodes = [node("Gemm", operands, transB=transposed, alpha=0.5, beta=0.25)]
    assert_read(model(nodes, (5,), given), tmp_path)


def test_matmul_with_a_constant(tmp_path):
    graph = assert_read(model([node("MatMul", "x w")], (4, 5), {"w": weights(5, 6)}), tmp_path)
    assert [n.op for n in graph] == ["linear"]
    assert_read(model([node("MatMul", "x w")], (3, 4, 5), {"w": weights(3, 5, 6)}), tmp_path)
    assert_read(model([node("MatMul", "w x")], (4, 5), {"w": weights(7, 4)}), tmp_path)


def test_matmul_of_values(tmp_path):
    nodes = [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t")]
    assert_read(model(nodes, (4, 5)), tmp_path)


@pytest.mark.parametrize("order", ["m b", "b m"])
def test_a_bias_joins_its_matrix(tmp_path, order):
    nodes = [node("MatMul", "x w", "m"), node("Add", order)]
    graph = assert_read(model(nodes, (4, 5), {"w": weights(5, 6), "b": weights(6)}), tmp_path)
    assert [n.op for n in graph] == ["linear"]


def test_a_matrix_that_others_read_keeps_its_bias_apart(tmp_path):
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b"), node("Mul", "m y", "z")]
    graph = assert_read(model(nodes, (4, 5), {"w": weights(5, 6), "b": weights(6)}, outputs="y z"), tmp_path)
    assert [n.op for n in graph] == ["linear", "scale", "mul"]


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [-1, 2], [2, 3]])
@pytest.mark.parametrize("op", ["Mean", "Sum", "Max", "Min", "L1", "L2", "SumSquare", "LogSum"])
def test_reductions(tmp_path, op, axes, keepdims, opset):
    as_input = opset >= (13 if op == "Sum" else 18)
    if as_input:
        nodes, given = [node(f"Reduce{op}", "x axes", keepdims=keepdims)], {"axes": ints(*axes)}
    else:
        nodes, given = [node(f"Reduce{op}", "x", axes=axes, keepdims=keepdims)], {}
    assert_read(model(nodes, (5, 4, 3), given, opset=opset), tmp_path, low=0.1)


def test_a_reduction_over_nothing(tmp_path):
    assert_read(
        model([node("Exp", "x", "e"), node("ReduceSum", "e", noop_with_empty_axes=1)], (5, 4)), tmp_path
    )
