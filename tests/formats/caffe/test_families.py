"""What the re-ID family has beyond convolutions, carried to the portable dialect and run in OpenCV."""

import re

import numpy as np
import pytest

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT
from mgn_convert.graph import Graph, GraphBuilder
from mgn_convert.passes.legalize import legalize


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).uniform(-1, 1, shape).astype(np.float32)


def close_numbers(random, shape, scale):
    """Few different numbers and their neighbours in float32, with many ties, zeros and signs."""
    few = (random.choice([-3, -2, -1, 0, 1, 2, 3], shape) * np.float32(scale)).astype(np.float32)
    return np.where((random.random(shape) < 0.4) & (few != 0), np.nextafter(few, np.float32(np.inf)), few)


# From numbers next to the smallest normal one to the largest that the expansions promise to tell apart.
SCALES = [1.0, 1.2e-38, 1e-20, 4e29]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(8, 6), (9, 7)], ids=["even", "odd"])
def test_unpooling_takes_the_first_of_equal_maxima(scale, size, written):
    b = GraphBuilder("one")
    values, source = b.input("values", (1, 6, 4, 3)), b.input("source", (1, 6, *size))
    graph = b.graph([b.add("max_unpool", values, source, kernel=(2, 2), stride=(2, 2), name="y")])
    random = np.random.default_rng(3)
    feeds = {"values": weights(3, 6, 4, 3), "source": close_numbers(random, (3, 6, *size), scale)}
    with FORMAT.open_runner(Source(written(graph))) as runner:
        np.testing.assert_array_equal(runner.run_feeds(feeds)["y"], graph.run(feeds, dtype="float32")["y"])


@pytest.mark.parametrize("scale", SCALES)
def test_channels_are_chosen_best_first_and_the_lower_of_equal_ones(scale, written):
    b = GraphBuilder("one")
    values, scores = b.input("values", (1, 50, 4, 3)), b.input("scores", (1, 50))
    graph = b.graph([b.add("top_channels", values, scores, k=24, name="y")])
    feeds = {
        "values": weights(3, 50, 4, 3),
        "scores": close_numbers(np.random.default_rng(4), (3, 50), scale),
    }
    with FORMAT.open_runner(Source(written(graph))) as runner:
        np.testing.assert_array_equal(runner.run_feeds(feeds)["y"], graph.run(feeds, dtype="float32")["y"])


def test_a_permutation_is_exact(written):
    b = GraphBuilder("one")
    graph = b.graph([b.add("permute", b.input("x", (1, 30, 7, 5)), order=(0, 3, 1, 2), name="y")])
    images = weights(3, 30, 7, 5)
    with FORMAT.open_runner(Source(written(graph))) as runner:
        np.testing.assert_array_equal(runner.run(images)["y"], images.transpose(0, 3, 1, 2))


def joint_attention() -> Graph:
    """Attention MGN's block: a gate per channel plus a weight per place, which unpools."""
    b = GraphBuilder("joint")
    x = b.input("x", (1, 8, 14, 10))
    mean = b.add("reduce", x, kind="mean", axes=(2, 3))
    gate = b.add("linear", mean, weight=weights(8, 8), bias=weights(8))
    gate = b.add("reshape", b.add("sigmoid", gate), shape=(0, 8, 1, 1), name="gate")
    wide = b.add("relu", b.add("conv", x, weight=weights(4, 8, 3, 3)), name="wide")
    pooled = b.add("max_pool", wide, kernel=(2, 2), stride=(2, 2), name="pooled")
    y = b.add("max_unpool", pooled, wide, kernel=(2, 2), stride=(2, 2), name="unpooled")
    y = b.add("conv_transpose", y, weight=weights(4, 1, 3, 3), name="places")
    attention = b.add("relu", b.add("add", gate, y, name="sum"), name="attention")
    return b.graph([b.add("add", x, b.add("mul", x, attention), name="y")])


def leader_attention() -> Graph:
    """MuDeep's block: softmax(A B^T) over channels, times the map, pooled."""
    b = GraphBuilder("leader")
    x = b.input("x", (1, 40, 6, 4))
    leader = b.add("relu", b.add("conv", x, weight=weights(12, 40, 1, 1) / 8), name="leader")
    one, two = (b.add("conv", leader, weight=weights(40, 12, 1, 1) + i / 10) for i in (0, 1))
    turned = b.add("permute", b.add("reshape", two, shape=(0, 40, -1)), order=(0, 2, 1))
    logits = b.add("matmul", b.add("reshape", one, shape=(0, 40, -1)), turned, name="logits")
    attention = b.add("softmax", b.add("power", logits, scale=0.1), axis=2, name="attention")
    y = b.add("matmul", attention, b.add("reshape", x, shape=(0, 40, -1)), name="gathered")
    y = b.add("mul", b.add("constant", value=np.float32([0.5])), b.add("reshape", y, shape=(0, 40, 6, 4)))
    y = b.add("add", y, x, name="attended")
    whole = b.add("reduce", y, kind="mean", axes=(2, 3), keepdims=True, name="whole")
    thirds = b.add("avg_pool", y, kernel=(2, 4), stride=(2, 4), name="thirds")
    return b.graph([whole, thirds])


def look() -> Graph:
    """LAG-Net's block: the channels with the largest sums, added to the map one by one, pooled twice."""
    b = GraphBuilder("look")
    x = b.input("x", (1, 30, 6, 4))
    maps = b.add("relu", b.add("conv", x, weight=weights(30, 30, 1, 1)), name="maps")
    sums = b.add("reduce", maps, kind="sum", axes=(2, 3), name="sums")
    chosen = b.add("top_channels", maps, sums, k=3, name="chosen")
    seen = []
    for i in range(3):
        lit = b.add("add", x, b.add("slice", chosen, axis=1, start=i, stop=i + 1), name=f"lit{i}")
        parts = (b.add("reduce", lit, kind=kind, axes=(2, 3), keepdims=True) for kind in ("mean", "max"))
        seen.append(b.add("add", *parts, name=f"seen{i}"))
    y = b.add("reshape", b.add("concat", *seen, axis=2), shape=(0, 30, 3))
    y = b.add("reduce", y, kind="max", axes=(2,), name="best")
    norm = {name: np.abs(weights(30)) + np.float32(0.5) for name in ("mean", "var", "weight", "bias")}
    return b.graph([b.add("batch_norm", y, **norm, name="y")])


def transformer() -> Graph:
    """Layer norm and attention of four heads over tokens."""
    b = GraphBuilder("transformer")
    image = b.input("x", (1, 24, 5, 4))
    x = b.add("permute", b.add("reshape", image, shape=(0, 24, -1)), order=(0, 2, 1), name="tokens")
    centred = b.add("sub", x, b.add("reduce", x, kind="mean", axes=(2,), keepdims=True))
    spread = b.add("reduce", b.add("power", centred, power=2.0), kind="mean", axes=(2,), keepdims=True)
    root = b.add("power", spread, power=0.5, shift=1e-5)
    normal = b.add("scale", b.add("div", centred, root), axis=2, weight=weights(24), bias=weights(24))
    q, k, v = (
        b.add(
            "permute",
            b.add("reshape", b.add("linear", normal, weight=weights(24, 24) / (3 + i)), shape=(0, 0, 4, 6)),
            order=(0, 2, 1, 3),
        )
        for i in range(3)
    )
    heat = b.add("matmul", q, b.add("permute", k, order=(0, 1, 3, 2)))
    y = b.add("matmul", b.add("softmax", b.add("power", heat, scale=6**-0.5), axis=3), v, name="heads")
    y = b.add("reshape", b.add("permute", y, order=(0, 2, 1, 3)), shape=(0, 0, -1))
    return b.graph([b.add("add", x, y, name="y")])


def pooled_and_normalised() -> Graph:
    """fast-reid's end: a generalised mean, then L2 normalisation; before it, one-channel non-local."""
    b = GraphBuilder("end")
    x = b.input("x", (1, 600, 6, 4))
    theta, phi, g = (
        b.add("conv", x, weight=weights(1, 600, 1, 1) / (9 + i), bias=weights(1)) for i in range(3)
    )
    agreement = b.add("reduce", b.add("mul", phi, g), kind="mean", axes=(2, 3), keepdims=True)
    x = b.add("add", x, b.add("conv", b.add("mul", theta, agreement), weight=weights(600, 1, 1, 1)))
    x = b.add("power", b.add("clip", x, min=1e-6, max=np.inf), power=3.0)
    x = b.add("power", b.add("reduce", x, kind="mean", axes=(2, 3)), power=1 / 3, name="gem")
    length = b.add("power", b.add("reduce", x, kind="sumsq", axes=(1,), keepdims=True), power=0.5)
    return b.graph([b.add("div", x, b.add("clip", length, min=1e-12, max=np.inf), name="y")])


BLOCKS = [joint_attention, leader_attention, look, transformer, pooled_and_normalised]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
def test_blocks(block, in_opencv):
    prototxt = in_opencv(block())
    _, _, layers = prototxt.read_text().partition('name: "data"')
    first = re.findall(r"reshape_param \{\s*shape \{\s*dim: (-?\d+)", layers)
    assert set(first) <= {"0", "-1"}  # no layer names the batch


@pytest.mark.parametrize("dialect", ["bvlc-1.0", "bvlc-master", "opencv"])
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
def test_blocks_read_back(block, dialect, written):
    graph = block()
    again = FORMAT.read(Source(written(graph, dialect)))
    images = weights(3, *graph.inputs[0].shape[1:])
    wanted, got = graph.run({"x": images}), again.run({"data": images})
    for name, array in wanted.items():
        # 1e-6: a prototxt holds numbers such as 1/3 in float32.
        np.testing.assert_allclose(got[name], array, rtol=1e-6, atol=1e-6 * np.abs(array).max())


def test_opencv_multiplies_matrices_itself(in_opencv):
    assert in_opencv(transformer(), "opencv").read_text().count('"MatMul"') == 2


def product(*shapes: tuple[int, ...]) -> Graph:
    b = GraphBuilder("one")
    return b.graph([b.add("matmul", *(b.input("x", (1, *shape)) for shape in shapes), name="y")])


@pytest.mark.parametrize("shapes", [[(2048, 288), (288, 2048)], [(2048, 2048), (2048, 288)]], ids=str)
def test_products_that_take_gigabytes_are_refused(shapes):
    with pytest.raises(UnsupportedError) as caught:
        legalize(product(*shapes), FORMAT.target(None))
    assert "products of numbers are written out up to 268435456" in caught.value.because
    assert caught.value.remedy == "--dialect opencv"


@pytest.mark.parametrize(
    ("shapes", "factor"),
    [([(512, 288), (288, 512)], 1.2), ([(2048, 2048), (2048, 3)], 2.1), ([(4, 197, 64), (4, 64, 197)], 1.3)],
    ids=str,
)
def test_blobs_of_a_product(shapes, factor):
    """M K P numbers, an eighth more for each size of rows to repeat B; for few columns, twice M K P."""
    legal = legalize(product(*shapes), FORMAT.target(None))
    blobs = sum(np.prod(node.shape) for node in legal if node.op != "reshape")  # a Reshape shares its bottom
    assert blobs <= factor * np.prod(shapes[0]) * shapes[1][-1]


def test_written_ops():
    ops = FORMAT.written_ops()
    assert ops["mul"] == "Eltwise, Scale"
    assert ops["linear"] == "InnerProduct"
    assert ops["max_unpool"] == ops["top_channels"] == ops["matmul"] == "expanded"
    assert ops["threshold"] == "Threshold (bvlc-1.0, bvlc-master)"


def test_the_input_has_a_name(written):
    with FORMAT.open_runner(Source(written(leader_attention()))) as runner:
        assert runner.input_name == "data"
