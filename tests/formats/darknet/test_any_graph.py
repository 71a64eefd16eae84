"""Whatever the writer writes, the engine loads, and it computes the graph."""

import math
import shutil

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.graph import GraphBuilder
from mgn_convert.parity.metrics import squeezed_shape
from mgn_convert.passes.legalize import legalize

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STEPS = (
    *(
        "tanh",
        "relu",
        "prelu",
        "clip",
        "power",
        "scale",
        "batch_norm",
        "softmax",
        "reshape",
        "permute",
        "slice",
    ),
    *("concat", "reduce", "add", "mul", "linear", "conv", "max_pool", "avg_pool", "instance_norm"),
    "matmul",
)


def split(draw, count: int, rank: int) -> tuple[int, ...]:
    """`rank` sizes whose product is `count`."""
    sizes = []
    for _ in range(rank - 1):
        sizes.append(draw(st.sampled_from([n for n in range(1, count + 1) if count % n == 0])))
        count //= sizes[-1]
    return (*sizes, count)


def grow(draw, b, x, random):
    """One more node over x, of a drawn kind and with drawn numbers; x itself where the kind does not fit."""
    op, rank = draw(st.sampled_from(STEPS)), len(x.shape)
    axis = draw(st.integers(1, rank - 1))

    def numbers(*shape):
        return random.uniform(-1, 1, shape).astype(np.float32)

    if op in ("tanh", "relu"):
        return b.add(op, x)
    if op == "clip":
        return b.add(op, x, min=draw(st.sampled_from([None, -0.5])), max=0.75)
    if op == "power":
        return b.add(op, x, power=draw(st.sampled_from([1.0, 2.0])), scale=0.5, shift=0.25)
    if op == "prelu":
        return b.add(op, x, weight=numbers(*draw(st.sampled_from([(), (x.shape[1],)]))))
    if op == "scale":
        return b.add(op, x, axis=axis, weight=numbers(*x.shape[axis : draw(st.integers(axis, rank)) or None]))
    if op == "batch_norm":
        return b.add(op, x, mean=numbers(x.shape[1]), var=numbers(x.shape[1]) ** 2)
    if op == "softmax":
        return b.add(op, x, axis=axis)
    if op == "reshape":
        return b.add(op, x, shape=(0, *split(draw, math.prod(x.shape[1:]), draw(st.integers(1, 4)))))
    if op == "permute":
        return b.add(op, x, order=(0, *draw(st.permutations(range(1, rank)))))
    if op == "slice":
        start = draw(st.integers(0, x.shape[axis] - 1))
        return b.add(op, x, axis=axis, start=start, stop=draw(st.integers(start + 1, x.shape[axis])))
    if op == "concat":
        return b.add(op, x, b.add("tanh", x), axis=axis)
    if op == "reduce":
        kind = draw(st.sampled_from(["mean", "sum", "max", "asum", "sumsq"]))
        return b.add(op, x, kind=kind, axes=(axis,), keepdims=draw(st.booleans()) or rank == 2)
    if op in ("add", "mul"):
        return b.add(op, x, b.add("reduce", b.add("tanh", x), kind="mean", axes=(axis,), keepdims=True))
    if op == "linear":
        return b.add(op, x, weight=numbers(3, x.shape[-1]))
    if op == "matmul" and rank > 2:
        turned = b.add("permute", x, order=(*range(rank - 2), rank - 1, rank - 2))
        return b.add(op, b.add("power", x, scale=1 / x.shape[-1]), turned)
    if rank != 4:
        return x
    if op == "instance_norm":
        return b.add(op, x, eps=0.1)
    kernel = tuple(draw(st.integers(1, n)) for n in x.shape[2:])
    stride = tuple(draw(st.integers(1, 3)) for _ in kernel)
    if op == "conv":
        return b.add(op, x, weight=numbers(3, x.shape[1], *kernel) / math.prod(kernel), stride=stride)
    return b.add(op, x, kernel=kernel, stride=stride) if op != "matmul" else x


@QUICK
@given(data=st.data(), seed=st.integers(0, 99))
def test_what_is_written_runs(tmp_path, data, seed):
    random, b = np.random.default_rng(seed), GraphBuilder("net")
    x = b.input("data", (1, 4, 6, 3))
    for _ in range(data.draw(st.integers(1, 6))):
        x = grow(data.draw, b, x, random)
    graph, target = b.graph([x]), FORMAT.target(None)
    legal = legalize(graph, target)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    (tmp_path / "out").mkdir()
    cfg = FORMAT.write(legal, tmp_path / "out", "net", target).files[0]
    values = random.standard_normal((2, 4, 6, 3)).astype(np.float32)
    wanted = graph.run({"data": values})[graph.outputs[0]]
    with FORMAT.open_runner(Source(cfg)) as runner:
        (found,) = runner.run(values).values()
    if len(wanted.shape) < 5:  # a layer has no more axes
        assert squeezed_shape(found.shape) == squeezed_shape(wanted.shape)
    # Six layers in float32, of which squares and small variances make errors larger.
    assert np.abs(found.reshape(wanted.shape) - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())
