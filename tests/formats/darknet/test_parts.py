"""Parts of re-ID networks, small: the graph of the files, and the engine, whole and by layer."""

import numpy as np
import pytest

from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT as CAFFE
from mgn_convert.passes.legalize import legalize

SHAPE = (1, 5, 9, 6)


def mean(b, x, **fields):
    return b.add("reduce", x, kind="mean", axes=(2, 3), **fields)


def block(b, x, m, out=6, **fields):
    return b.add("relu", m.norm(b, m.conv(b, x, out, (3, 3), padding=(1, 1), **fields)))


def squeeze_and_excite(b, x, m):
    y = block(b, x, m)
    gate = b.add("relu", b.add("linear", mean(b, y), weight=m.numbers(2, 6)))
    gate = b.add("sigmoid", b.add("linear", gate, weight=m.numbers(6, 2)))
    return b.add("mul", y, b.add("reshape", gate, shape=(0, 0, 1, 1)))


def spatial_attention(b, x, m):
    """Attention on a pooled map, put back to where the maxima were, added to every channel of a gate."""
    y = block(b, x, m)
    window = {"kernel": (2, 2), "stride": (2, 2)}
    pooled = b.add("max_pool", y, **window)
    z = b.add(
        "conv_transpose", block(b, pooled, m, stride=(2, 2)), weight=m.numbers(6, 6, 2, 3), stride=(2, 1)
    )
    places = b.add("max_unpool", m.norm(b, b.add("slice", z, axis=3, start=0, stop=3)), y, **window)
    spatial = b.add("sigmoid", b.add("reduce", places, kind="mean", axes=(1,), keepdims=True))
    channels = b.add("sigmoid", m.conv(b, mean(b, y, keepdims=True), 6))
    return b.add("mul", y, b.add("add", channels, spatial))


def instance_batch_norm(b, x, m):
    y = m.conv(b, x, 8, (3, 3), padding=(1, 1))
    first, second = (b.add("slice", y, axis=1, start=i, stop=i + 4) for i in (0, 4))
    first = b.add("instance_norm", first, weight=m.numbers(4), bias=m.numbers(4))
    y = b.add("relu", b.add("concat", first, m.norm(b, second), axis=1))
    return b.add("relu", b.add("add", m.norm(b, m.conv(b, y, 5)), x))


def gem_and_neck(b, x, m):
    y = b.add("power", b.add("clip", block(b, x, m), min=1e-6, max=np.inf), power=2.7)
    y = b.add("power", mean(b, y, keepdims=True), power=1 / 2.7)
    return m.norm(b, b.add("reshape", y, shape=(0, -1)))


def non_local(b, x, m):
    y = block(b, x, m)
    g, theta, phi = (m.conv(b, y, 1, bias=True) for _ in range(3))
    z = b.add("mul", theta, mean(b, b.add("mul", phi, g), keepdims=True))
    return b.add("add", y, m.norm(b, m.conv(b, z, 6)))


def channel_attention(b, x, m):
    leader, stream = block(b, x, m), block(b, x, m)
    first, second = (b.add("reshape", m.conv(b, leader, 6), shape=(0, 6, -1)) for _ in range(2))
    weights = b.add("matmul", first, b.add("permute", second, order=(0, 2, 1)))
    weights = b.add("softmax", b.add("power", weights, scale=0.1), axis=2)
    y = b.add("matmul", weights, b.add("reshape", stream, shape=(0, 0, -1)))
    y = b.add("reshape", y, shape=(0, 0, 9, 6))
    y = b.add("add", b.add("mul", y, b.add("constant", value=m.numbers(1))), stream)
    thirds = b.add("avg_pool", y, kernel=(3, 6), stride=(3, 6))
    parts = [b.add("slice", thirds, axis=2, start=i, stop=i + 1) for i in range(3)]
    vectors = [
        b.add("reshape", block(b, p, m, 4), shape=(0, -1)) for p in (mean(b, y, keepdims=True), *parts)
    ]
    return b.add("concat", *vectors, axis=1)


def selected_maps(b, x, m):
    y = block(b, x, m)
    maps = block(b, y, m, 8)
    maps = b.add("top_channels", maps, b.add("reduce", maps, kind="sum", axes=(2, 3)), k=3)
    seen = []
    for i in range(3):
        lit = b.add("add", y, b.add("slice", maps, axis=1, start=i, stop=i + 1))
        most = b.add("reduce", lit, kind="max", axes=(2, 3), keepdims=True)
        seen.append(b.add("add", mean(b, lit, keepdims=True), most))
    seen = b.add("concat", *seen, axis=2)
    most = b.add("add", b.add("reduce", seen, kind="max", axes=(2, 3)), mean(b, seen))
    return m.norm(b, b.add("linear", b.add("leaky_relu", m.norm(b, most), slope=0.1), weight=m.numbers(4, 6)))


def layer_norm(b, x, m):
    rows, width = x.shape[1:]
    y = b.add("instance_norm", b.add("reshape", x, shape=(0, rows, 1, width)))
    y = b.add("reshape", y, shape=(0, rows, width))
    return b.add("scale", y, axis=2, weight=m.numbers(width), bias=m.numbers(width))


def transformer(b, x, m, heads=2):
    """One block of a vision transformer over 3x3 patches."""
    x = b.add("reshape", m.conv(b, x, 8, (3, 3), stride=(3, 3), bias=True), shape=(0, 8, 6))
    x = b.add("permute", x, order=(0, 2, 1))
    x = b.add("add", x, b.add("constant", value=m.numbers(1, 6, 8)))
    y = b.add("linear", layer_norm(b, x, m), weight=m.numbers(24, 8) / 3, bias=m.numbers(24))
    parts = [b.add("slice", y, axis=2, start=i, stop=i + 8) for i in (0, 8, 16)]
    parts = [b.add("reshape", p, shape=(0, 6, heads, 4)) for p in parts]
    q, k, v = (b.add("permute", p, order=(0, 2, 1, 3)) for p in parts)
    scores = b.add("matmul", q, b.add("permute", k, order=(0, 1, 3, 2)))
    y = b.add("matmul", b.add("softmax", b.add("power", scores, scale=0.5), axis=-1), v)
    y = b.add("reshape", b.add("permute", y, order=(0, 2, 1, 3)), shape=(0, 6, 8))
    x = b.add("add", x, b.add("linear", y, weight=m.numbers(8, 8) / 3))
    y = b.add("gelu", b.add("linear", layer_norm(b, x, m), weight=m.numbers(16, 8) / 3, bias=m.numbers(16)))
    x = b.add("add", x, b.add("linear", y, weight=m.numbers(8, 16) / 4))
    return b.add("linear", b.add("reduce", x, kind="mean", axes=(1,)), weight=m.numbers(3, 8))


def shuffled(b, x, m):
    y = m.conv(b, x, 6, bias=True)
    y = b.add("permute", b.add("reshape", y, shape=(0, 2, 3, 9, 6)), order=(0, 2, 1, 3, 4))
    return block(b, b.add("reshape", y, shape=(0, 6, 9, 6)), m, groups=6)


PARTS = (
    *(squeeze_and_excite, spatial_attention, instance_batch_norm, gem_and_neck, non_local),
    *(channel_attention, selected_maps, transformer, shuffled),
)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_network(part, network, make, check):
    check(network(lambda b, x: part(b, x, make), SHAPE))


@pytest.mark.parametrize("part", [p for p in PARTS if p is not transformer])
def test_a_part_by_way_of_caffe(part, network, make, check, tmp_path):
    """What Caffe's files say, with all that the Caffe writer puts in place of what Caffe lacks."""
    target = CAFFE.target(None)
    (tmp_path / "caffe").mkdir()
    graph = legalize(network(lambda b, x: part(b, x, make), SHAPE), target)
    files = CAFFE.write(graph, tmp_path / "caffe", "net", target).files
    check(CAFFE.read(Source(next(f for f in files if f.suffix == ".prototxt"))))
