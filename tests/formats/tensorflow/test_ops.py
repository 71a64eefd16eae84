"""Every op, in the variants that TensorFlow treats differently, against float64 in TensorFlow itself."""

import numpy as np
import pytest

from mgn_convert.formats.tensorflow.target import written_ops
from mgn_convert.graph import GraphBuilder
from mgn_convert.graph.ops import OPS

random = np.random.default_rng(3)


def some(*shape: int) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    return random.uniform(0.3, 2, shape).astype(np.float32)


MAP = (1, 6, 11, 7)
ROW = (1, 10)
SEQUENCE = (1, 5, 6)
BNS = {"mean": some(6), "var": positive(6), "weight": some(6), "bias": some(6), "eps": 3e-3}

ONE_INPUT = {
    "conv": [
        (MAP, dict(weight=some(5, 6, 3, 2))),
        (MAP, dict(weight=some(5, 6, 3, 2), bias=some(5), padding=(2, 1), stride=(2, 3), dilation=(1, 2))),
        (MAP, dict(weight=some(9, 2, 3, 3), bias=some(9), groups=3, padding=(1, 1))),
        (MAP, dict(weight=some(4, 3, 3, 3), groups=2, stride=(2, 1), dilation=(2, 1))),
        (MAP, dict(weight=some(6, 1, 3, 3), bias=some(6), groups=6, padding=(1, 0), stride=(2, 2))),
        (MAP, dict(weight=some(12, 1, 3, 2), groups=6)),
        (MAP, dict(weight=some(12, 1, 3, 2), groups=6, stride=(2, 1), dilation=(2, 2))),
    ],
    "conv_transpose": [
        (MAP, dict(weight=some(6, 5, 3, 2), bias=some(5), stride=(2, 3), padding=(1, 0))),
        (MAP, dict(weight=some(6, 5, 3, 3), stride=(2, 2), output_padding=(1, 0))),
        (MAP, dict(weight=some(6, 2, 3, 3), bias=some(6), groups=3, stride=(1, 2))),
        (MAP, dict(weight=some(6, 4, 3, 3), groups=2, dilation=(2, 3), stride=(2, 1), padding=(1, 2))),
        (MAP, dict(weight=some(6, 4, 2, 2), dilation=(3, 3), stride=(2, 2), output_padding=(2, 1))),
        (MAP, dict(weight=some(6, 3, 1, 1), stride=(3, 2))),
    ],
    "linear": [
        (ROW, dict(weight=some(3, 10), bias=some(3))),
        (SEQUENCE, dict(weight=some(4, 6), bias=some(4))),
        (MAP, dict(weight=some(5, 7), bias=some(5))),
        ((1, 6, 1, 7), dict(weight=some(5, 7))),
        ((1, 2, 3, 4, 5), dict(weight=some(6, 5))),
    ],
    "max_pool": [
        (MAP, dict(kernel=(3, 3), stride=(5, 4), padding=(0, 0, 3, 3))),
        (MAP, dict(kernel=(3, 2), stride=(2, 2), padding=(1, 1, 1, 1))),
        (MAP, dict(kernel=(4, 3), stride=(1, 3), padding=(3, 0, 0, 2))),
        (MAP, dict(kernel=(11, 7), stride=(1, 1))),
    ],
    "avg_pool": [
        (MAP, dict(kernel=(11, 7), stride=(11, 7))),
        (MAP, dict(kernel=(3, 2), stride=(2, 2), padding=(1, 1, 1, 1))),
        (MAP, dict(kernel=(3, 2), stride=(2, 2), padding=(1, 1, 0, 1), count_include_pad=False)),
        (MAP, dict(kernel=(4, 3), stride=(2, 3), padding=(1, 0, 1, 0), overhang=(1, 2))),
        (MAP, dict(kernel=(3, 3), stride=(1, 2), divisor=5)),
    ],
    "pad": [
        (MAP, dict(padding=(1, 2, 3, 0), value=-1.5)),
        (MAP, dict(padding=(1, -2, -3, 1))),
        (MAP, dict(padding=(-1, 0, 0, -1))),
    ],
    "batch_norm": [
        (MAP, BNS),
        (MAP, {k: BNS[k] for k in ("mean", "var")}),
        ((1, 6), BNS),
        ((1, 6, 5), {k: BNS[k] for k in ("mean", "var", "bias")}),
    ],
    "instance_norm": [
        (MAP, dict(weight=some(6), bias=some(6), eps=3e-3)),
        (MAP, dict(weight=some(6))),
        (MAP, {}),
    ],
    "mvn": [
        (MAP, {}),
        (MAP, dict(across_channels=True, eps=0.1)),
        (MAP, dict(normalize_variance=False)),
        (SEQUENCE, dict(eps=0.02)),
    ],
    "scale": [
        (MAP, dict(weight=some(6), bias=some(6))),
        (MAP, dict(weight=some(11), axis=2)),
        (MAP, dict(bias=some(11, 7), axis=2)),
        (MAP, dict(weight=some(6, 11, 7), bias=np.float32(0.3))),
        (MAP, dict(weight=np.float32(-0.7))),
        (SEQUENCE, dict(weight=some(6), bias=some(6), axis=-1)),
        ((1, 6), dict(weight=some(6))),
    ],
    "relu": [(MAP, {}), (ROW, {})],
    "leaky_relu": [(MAP, dict(slope=0.13)), (MAP, dict(slope=1.7)), (ROW, dict(slope=-0.4))],
    "elu": [(MAP, {}), (MAP, dict(alpha=0.7))],
    "prelu": [
        (MAP, dict(weight=some(6))),
        (MAP, dict(weight=np.float32(0.3))),
        (ROW, dict(weight=some(10))),
        (SEQUENCE, dict(weight=some(5))),
    ],
    "sigmoid": [(MAP, {})],
    "tanh": [(MAP, {})],
    "gelu": [(MAP, {}), (MAP, dict(approximate="tanh"))],
    "softplus": [(MAP, {})],
    "abs": [(MAP, {})],
    "exp": [(MAP, {})],
    "threshold": [(MAP, dict(threshold=0.3)), (ROW, {})],
    "clip": [
        (MAP, dict(min=-0.5, max=0.7)),
        (MAP, dict(min=0.0, max=np.inf)),
        (MAP, dict(min=-np.inf, max=1.0)),
        (ROW, dict(min=-np.inf, max=np.inf)),
    ],
    "power": [
        (MAP, dict(power=2.0, scale=0.7, shift=-0.2)),
        (MAP, dict(power=3.0)),
        (MAP, dict(scale=-1.3)),
        (MAP, {}),
        (ROW, dict(power=0.0, shift=3.0)),
    ],
    "softmax": [
        (MAP, dict(axis=1)),
        (MAP, dict(axis=2)),
        (MAP, dict(axis=-1)),
        (SEQUENCE, dict(axis=1)),
        (ROW, dict(axis=1)),
    ],
    "reshape": [
        (MAP, dict(shape=(0, -1))),
        (MAP, dict(shape=(0, 0, -1))),
        (MAP, dict(shape=(0, 0, 7, 11))),
        (MAP, dict(shape=(0, 3, 2, 11, 7))),
        (MAP, dict(shape=(0, 11, 7, 6))),
        (MAP, dict(shape=(-1, 6, 77, 1))),
        ((1, 6, 1, 1), dict(shape=(0, -1))),
        ((1, 1, 3, 5), dict(shape=(0, 15))),
        ((1, 12), dict(shape=(0, 3, 2, 2))),
        ((1, 12), dict(shape=(0, 12, 1, 1))),
        (SEQUENCE, dict(shape=(-1, 6))),
        (SEQUENCE, dict(shape=(-1, 3))),
        (MAP, dict(shape=(-1, 11, 7))),
    ],
    "permute": [
        (MAP, dict(order=(0, 2, 3, 1))),
        (MAP, dict(order=(0, 3, 1, 2))),
        (MAP, dict(order=(1, 0, 2, 3))),
        ((1, 6, 1, 1), dict(order=(0, 3, 2, 1))),
        (SEQUENCE, dict(order=(0, 2, 1))),
        (SEQUENCE, dict(order=(0, 1, 2))),
        ((1, 2, 3, 4, 5), dict(order=(0, 3, 1, 4, 2))),
    ],
    "slice": [
        (MAP, dict(axis=1, start=2, stop=5)),
        (MAP, dict(axis=2, start=1, stop=11)),
        (MAP, dict(axis=3, start=0, stop=1)),
        (ROW, dict(axis=-1, start=3, stop=4)),
        (MAP, dict(axis=1, start=0, stop=6)),
    ],
    "reduce": [
        *[(MAP, dict(kind=kind, axes=(2, 3))) for kind in ("mean", "sum", "max", "asum", "sumsq")],
        (MAP, dict(kind="mean", axes=(2, 3), keepdims=True)),
        (MAP, dict(kind="max", axes=(1,), keepdims=True)),
        (MAP, dict(kind="sum", axes=(2,))),
        (MAP, dict(kind="mean", axes=(-1,))),
        (SEQUENCE, dict(kind="sum", axes=(1,))),
        ((1, 2, 3, 4, 5), dict(kind="max", axes=(2,))),
        ((1, 2, 3, 4, 5), dict(kind="mean", axes=(1, 3), keepdims=True)),
    ],
}

FAR = {"log": [(MAP, {})], "power": [(MAP, dict(power=p, shift=0.1)) for p in (0.5, -0.5, -1.0, 1.7, -3.0)]}
"""For inputs above 0.1."""

TWO_INPUTS = {
    **{
        op: [(MAP, MAP), (MAP, (1, 6, 1, 1)), ((1, 1, 11, 7), MAP), (ROW, (1, 1)), (SEQUENCE, (1, 1, 6))]
        for op in ("add", "sub", "mul", "maximum")
    },
    "matmul": [
        (SEQUENCE, (1, 6, 4)),
        (MAP, (1, 6, 7, 3)),
        ((1, 1, 11, 7), (1, 6, 7, 3)),
        ((1, 2, 3, 4, 5), (1, 2, 3, 5, 1)),
    ],
}


def built(op: str, *shapes: tuple, **fields):
    b = GraphBuilder("net")
    inputs = [b.input(f"x{i}", shape) for i, shape in enumerate(shapes)]
    return b.graph([b.add(op, *inputs, name="y", **fields)])


@pytest.mark.parametrize(
    ("op", "shape", "fields"), [(op, *case) for op, cases in ONE_INPUT.items() for case in cases]
)
def test_op_of_one_input(in_tensorflow, op, shape, fields):
    in_tensorflow(built(op, shape, **fields))


@pytest.mark.parametrize(
    ("op", "shape", "fields"), [(op, *case) for op, cases in FAR.items() for case in cases]
)
def test_op_of_positive_numbers(in_tensorflow, op, shape, fields):
    in_tensorflow(built(op, shape, **fields), low=0.1, high=4)


@pytest.mark.parametrize(
    ("op", "shapes"), [(op, shapes) for op, cases in TWO_INPUTS.items() for shapes in cases]
)
def test_op_of_two_inputs(in_tensorflow, op, shapes):
    in_tensorflow(built(op, *shapes))


@pytest.mark.parametrize(
    ("axis", "shapes"),
    [(1, [MAP, (1, 2, 11, 7)]), (3, [MAP, MAP, MAP]), (2, [SEQUENCE]), (-1, [ROW, (1, 3)])],
)
def test_concat(in_tensorflow, axis, shapes):
    in_tensorflow(built("concat", *shapes, axis=axis))


@pytest.mark.parametrize("shapes", [(MAP, MAP), (MAP, (1, 6, 1, 1))])
def test_division(in_tensorflow, shapes):
    in_tensorflow(built("div", *shapes), low=0.2, high=3)


def test_every_op_has_a_case():
    cases = {*ONE_INPUT, *FAR, *TWO_INPUTS, "div", "concat", "constant", "top_channels", "max_unpool"}
    assert cases == set(OPS)
    assert set(written_ops()) == set(OPS)
    assert written_ops()["max_unpool"] == "expanded"
    assert written_ops()["max_pool"] == "MaxPool"
