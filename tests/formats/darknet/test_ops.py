"""One op each: graph to files to graph in float64, and the same files in the real engine."""

import numpy as np
import pytest

from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT

SHAPE = (1, 5, 9, 6)
MAP = (5, 9, 6)


def conv(out=7, kernel=(3, 3), **fields):
    return lambda b, x, m: m.conv(b, x, out, kernel, **fields)


def add(op, **fields):
    return lambda b, x, m: b.add(op, x, **fields)


def vector(b, x):
    return b.add("reshape", x, shape=(0, -1))


def pair(b, x, m):
    return m.conv(b, x, 7, (3, 3), padding=(1, 1)), m.conv(b, x, 7)


def transpose(b, x, m, **fields):
    return b.add("conv_transpose", x, weight=m.numbers(5, 3, 3, 3), bias=m.numbers(3), **fields)


def linear(b, x, m, count=4):
    x = vector(b, x)
    return b.add("linear", x, weight=m.numbers(count, x.shape[1]) / 16, bias=m.numbers(count))


def parts(b, x, m):
    rows = b.add("max_pool", x, kernel=(3, 6), stride=(3, 6))
    taken = [b.add("slice", rows, axis=2, start=i, stop=i + 1) for i in range(3)]
    return b.add("concat", *(vector(b, m.norm(b, m.conv(b, part, 4))) for part in taken), axis=1)


def mixed_sizes(b, x, m):
    return b.add(
        "concat", vector(b, m.conv(b, x, 3)), vector(b, b.add("reduce", x, kind="mean", axes=(2, 3))), axis=1
    )


WHOLE = {"kernel": (9, 6), "stride": (9, 6)}
ONES = np.ones((5, 1, 2, 2), np.float32)
OPS = {
    "conv": conv(),
    "conv with bias": conv(bias=True),
    "conv 1x1 strided": conv(kernel=(1, 1), stride=(2, 2), bias=True),
    "conv 1x1 padded": conv(kernel=(1, 1), padding=(1, 1), bias=True),
    "conv 7x7 strided padded": conv(kernel=(7, 7), stride=(2, 2), padding=(3, 3)),
    "conv in groups": conv(out=10, groups=5, padding=(1, 1)),
    "conv 1x7": conv(kernel=(1, 5), padding=(0, 2), bias=True),
    "conv dilated": conv(dilation=(2, 2), padding=(2, 2)),
    "conv dilated in one direction": conv(dilation=(3, 1), padding=(3, 1), bias=True),
    "conv norm relu": lambda b, x, m: b.add("relu", m.norm(b, m.conv(b, x, 7, (3, 3)))),
    "conv with bias and norm": lambda b, x, m: m.norm(b, m.conv(b, x, 7, (3, 3), bias=True)),
    "conv norm scale": lambda b, x, m: b.add(
        "scale", m.norm(b, m.conv(b, x, 7), weight=None, bias=None), weight=m.numbers(7), bias=m.numbers(7)
    ),
    "norm alone": lambda b, x, m: m.norm(b, x, eps=1e-3),
    "norm without scale": lambda b, x, m: m.norm(b, x, weight=None, bias=None),
    "norm of a vector": lambda b, x, m: m.norm(b, vector(b, b.add("reduce", x, kind="mean", axes=(2, 3)))),
    "transposed conv": lambda b, x, m: b.add("relu", m.norm(b, transpose(b, x, m, stride=(2, 2)))),
    "transposed conv padded": lambda b, x, m: transpose(
        b, x, m, padding=(1, 1), output_padding=(1, 1), stride=(2, 2)
    ),
    "nearest": add("conv_transpose", weight=ONES, stride=(2, 2), groups=5),
    "scale": lambda b, x, m: b.add("scale", x, weight=m.numbers(5), bias=m.numbers(5)),
    "shift": lambda b, x, m: b.add("scale", x, bias=m.numbers(5)),
    "scale by a number": add("scale", weight=np.float32(-2.5)),
    "power of 1": add("power", scale=0.25, shift=-1.5),
    "same": add("power"),
    "relu": add("relu"),
    "leaky": add("leaky_relu", slope=0.1),
    "leaky 0.01": add("leaky_relu", slope=0.01),
    "leaky 0.3": add("leaky_relu", slope=0.3),
    "prelu": lambda b, x, m: b.add("prelu", m.conv(b, x, 7), weight=m.numbers(7)),
    "prelu on the input": lambda b, x, m: b.add("prelu", x, weight=m.numbers()),
    "elu": add("elu"),
    "sigmoid": add("sigmoid"),
    "tanh": add("tanh"),
    "abs": add("abs"),
    "relu6": add("clip", min=0.0, max=0.6),
    "clip": add("clip", min=-0.25, max=0.75),
    "hardtanh": add("clip", min=-1.0, max=1.0),
    "at most": add("clip", min=-np.inf, max=0.5),
    "at least": add("clip", min=0.5, max=np.inf),
    "max pool 3/2 padded": add("max_pool", kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
    "max pool ceil": add("max_pool", kernel=(3, 3), stride=(2, 2), padding=(0, 0, 0, 1)),
    "max pool rectangular": add("max_pool", kernel=(3, 2), stride=(3, 2)),
    "max pool rectangular padded": add("max_pool", kernel=(5, 2), stride=(2, 1), padding=(2, 1, 1, 0)),
    "max of all": add("reduce", kind="max", axes=(2, 3)),
    "mean": add("reduce", kind="mean", axes=(2, 3), keepdims=True),
    "mean without axes": add("reduce", kind="mean", axes=(-1, 2)),
    "sum": add("reduce", kind="sum", axes=(2, 3)),
    "avg pool of all": add("avg_pool", kernel=(9, 6), stride=(1, 1)),
    "avg pool 2/2": add("avg_pool", kernel=(2, 2), stride=(2, 2)),
    "avg pool padded": add("avg_pool", kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
    "avg pool of stripes": add("avg_pool", kernel=(3, 6), stride=(3, 6)),
    "pad": add("pad", padding=(1, 2, 1, 2)),
    "pad one side": add("pad", padding=(0, 1, 2, -1)),
    "add": lambda b, x, m: b.add("add", *pair(b, x, m)),
    "add relu": lambda b, x, m: b.add("relu", b.add("add", *pair(b, x, m))),
    "sub": lambda b, x, m: b.add("sub", *pair(b, x, m)),
    "sub the other way": lambda b, x, m: b.add("sub", *pair(b, x, m)[::-1]),
    "add itself": lambda b, x, m: b.add("add", x, x),
    "add the input": lambda b, x, m: b.add("add", x, m.conv(b, x, 5)),
    "add a constant": lambda b, x, m: b.add("add", x, b.add("constant", value=m.numbers(5, 1, 1))),
    "constant minus": lambda b, x, m: b.add("sub", b.add("constant", value=np.float32(2)), x),
    "divide by a constant": lambda b, x, m: b.add("div", x, b.add("constant", value=np.float32(3))),
    "concat": lambda b, x, m: b.add("concat", *pair(b, x, m), x, axis=1),
    "concat of vectors": mixed_sizes,
    "concat linear": lambda b, x, m: linear(b, mixed_sizes(b, x, m), m),
    "slice rows": add("slice", axis=2, start=3, stop=6),
    "slice columns": add("slice", axis=3, start=1, stop=5),
    "slice channels": add("slice", axis=1, start=2, stop=5),
    "slice all": add("slice", axis=1, start=0, stop=5),
    "parts": parts,
    "linear": linear,
    "linear norm relu": lambda b, x, m: b.add("relu", m.norm(b, linear(b, x, m))),
    "linear of the mean": lambda b, x, m: linear(b, b.add("reduce", x, kind="mean", axes=(2, 3)), m),
    "conv after linear": lambda b, x, m: m.conv(b, b.add("reshape", linear(b, x, m), shape=(0, 4, 1, 1)), 3),
    "softmax": lambda b, x, m: b.add("softmax", linear(b, x, m, 11), axis=1),
    "softmax in groups": add("softmax", axis=-1),
    "permute": lambda b, x, m: b.add("permute", b.add("max_pool", x, **WHOLE), order=(0, 2, 3, 1)),
    "flatten": add("reshape", shape=(0, -1)),
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", OPS)
def test_files_mean_the_graph(name, count, network, make, write, images, read_output, difference):
    graph = network(lambda b, x: OPS[name](b, x, make), SHAPE)
    values = images(graph, count)
    wanted = graph.run({"data": values})[graph.outputs[0]]
    # float32 weights: what an expansion or a batch norm computes in float64 is rounded once.
    assert difference(read_output(write(graph), values), wanted) <= 2e-7


@pytest.mark.parametrize("name", OPS)
def test_the_engine_gives_the_same(name, network, make, write, images, difference):
    graph = network(lambda b, x: OPS[name](b, x, make), SHAPE)
    values = images(graph, 3)
    wanted = graph.run({"data": values})[graph.outputs[0]]
    cfg = write(graph)
    with FORMAT.open_runner(Source(cfg)) as runner:
        (found,) = runner.run(values).values()
    # The engine sums in float32: some 1e-7 per addition, over at most 270 terms here.
    assert difference(found, wanted) <= 2e-6
    assert found.shape == (3, *FORMAT.read(Source(cfg)).value(runner.outputs[0]).shape[1:])
