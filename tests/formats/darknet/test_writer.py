"""A graph as cfg: the text, the names, and where each tensor went."""

import numpy as np
import pytest

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.graph import GraphBuilder, Origin
from mgn_convert.manifest import Artefact, Manifest, file_entry, manifest_path, tensors_of
from mgn_convert.passes.legalize import legalize

SMALL = """# small for Darknet, dialect mgn. The number before a section is its layer's.

[net]
batch=1
channels=3
height=12
width=4

# 0
[convolutional]
name=stem.relu
batch_normalize=1
filters=4
size=3
stride=2
padding=1
activation=relu

# 1
[convolutional]
name=down.bn
batch_normalize=1
filters=4
size=1
stride=1
padding=0
activation=linear

# 2
[shortcut]
name=relu
from=0
activation=relu

# 3
[maxpool]
name=whole
size_h=6
size_w=2
stride_h=6
stride_w=2
padding=0

# 4
[route]
layers=2

# 5
[maxpool]
name=parts
size_h=2
size_w=2
stride_h=2
stride_w=2
padding=0

# 6
[slice]
name=top
slice_axis=2
slice_num=2
slice_pos=0

# 7
[route]
layers=5

# 8
[slice]
name=rest
slice_axis=2
slice_begin=1
slice_end=3

# 9
[connected]
name=logits
output=3
activation=linear

# 10
[route]
name=joined
layers=3,6,9
"""


def small(make):
    b = GraphBuilder("small")
    x = b.input("images", (1, 3, 12, 4))
    x = make.conv(b, x, 4, (3, 3), stride=(2, 2), padding=(1, 1), name="stem.conv")
    x = b.add("relu", make.norm(b, x, name="stem.bn"), name="stem.relu")
    y = make.norm(b, make.conv(b, x, 4, name="down.conv"), name="down.bn")
    x = b.add("relu", b.add("add", x, y, name="sum"), name="relu")
    whole = b.add("max_pool", x, kernel=(6, 2), stride=(6, 2), name="whole")
    parts = b.add("max_pool", x, kernel=(2, 2), stride=(2, 2), name="parts")
    top = b.add("slice", parts, axis=2, start=0, stop=1, name="top")
    rest = b.add("slice", parts, axis=2, start=1, stop=3, name="rest")
    vectors = [b.add("reshape", v, shape=(0, -1), name=f"{v.name}.flat") for v in (whole, top, rest)]
    logits = b.add("linear", vectors[2], weight=make.numbers(3, 8), name="logits")
    return b.graph([b.add("concat", vectors[0], vectors[1], logits, axis=1, name="joined")])


@pytest.fixture
def written(make, tmp_path):
    graph, target = small(make), FORMAT.target(None)
    return graph, FORMAT.write(legalize(graph, target), tmp_path, "small", target)


def test_the_text(written):
    assert written[1].files[0].read_text() == SMALL


def test_where_the_tensors_are(written):
    result = written[1]
    assert result.outputs == ("joined",)
    assert {name: (place["layer"], covers) for name, place, covers in result.tensors} == {
        "stem.relu": (0, ("stem.conv", "stem.bn", "stem.relu")),
        "down.bn": (1, ("down.conv", "down.bn")),
        "relu": (2, ("sum", "relu")),
        "whole": (3, ("whole",)),
        "whole.flat": (3, ("whole.flat",)),
        "parts": (5, ("parts",)),
        "top": (6, ("top",)),
        "top.flat": (6, ("top.flat",)),
        "rest": (8, ("rest",)),
        "rest.flat": (8, ("rest.flat",)),
        "logits": (9, ("logits",)),
        "joined": (10, ("joined",)),
    }
    # 1 image, conv 3x3 with norm, conv 1x1 with norm, connected: nothing else has weights.
    assert result.files[1].stat().st_size == 20 + 4 * (4 * 27 + 16 + 16 + 16 + 3 * 8 + 3)


def test_the_same_graph_gives_the_same_bytes(written, make, tmp_path):
    graph, result = written
    target = FORMAT.target(None)
    again = FORMAT.write(legalize(graph, target), tmp_path, "again", target)
    for first, second in zip(result.files, again.files, strict=True):
        assert first.read_bytes() == second.read_bytes()


@pytest.fixture
def recorded(written):
    """The same, with a manifest in which every tensor has another name."""
    graph, result = written
    rows = tensors_of(graph, [(f"first/{n}", p, c) for n, p, c in result.tensors])
    files = {result.files[0].name: file_entry(result.files[0], main=True)}
    part = Artefact("darknet", "mgn", files, rows, ("first/joined",))
    manifest = Manifest("small", "images", (3, 12, 4), None, {}, {"darknet": part})
    manifest.save(manifest_path(result.files[0]))
    return graph, result


def test_every_tensor_in_the_engine(recorded, images, difference):
    graph, result = recorded
    values = images(graph, 3)
    reference = graph.run({"images": values}, taps=[n.name for n in graph.nodes])
    with FORMAT.open_runner(Source(result.files[0])) as runner:
        assert runner.outputs == ("first/joined",)
        assert runner.input_shape == (3, 12, 4)
        assert runner.describe("first/top.flat") == "layer 6 [slice]"
        assert len(runner.tensors) == 12
        found = runner.run(values, taps=runner.tensors)
        assert set(found) == set(runner.tensors)
        for name in runner.tensors:
            # float32 sums over at most 36 terms, three layers deep.
            assert difference(found[name], reference[name.removeprefix("first/")]) <= 2e-6


@pytest.mark.parametrize("lost", [(), ("relu", "down.bn"), ("parts", "top", "top.flat", "relu")])
def test_one_layer_from_reference_values(recorded, images, difference, lost):
    graph, result = recorded
    values = images(graph, 10)
    reference = graph.run({"images": values}, taps=[n.name for n in graph.nodes])
    given = {f"first/{k}": v for k, v in reference.items() if k not in lost}
    with FORMAT.open_runner(Source(result.files[0])) as runner:
        for name in runner.tensors:
            found = runner.run_isolated(name, {**given, "images": values})
            assert difference(found, reference[name.removeprefix("first/")]) <= 1e-6
        # A fault before a layer does not reach it when its own inputs are given.
        given["first/stem.relu"] = np.zeros_like(given["first/stem.relu"])
        if not lost:
            found = runner.run_isolated("first/whole", {**given, "images": values})
            assert difference(found, reference["whole"]) <= 1e-6


def test_origins_of_a_recorded_file_are_those_of_the_first_graph(recorded):
    graph = FORMAT.read(Source(recorded[1].files[0]))
    assert graph.inputs[0].name == "images"
    assert graph.node("relu").origin.tensor == "first/relu"
    assert graph.node("relu.add").origin.tensor == ""


def test_steps_on_the_way_to_a_tensor_are_not_recorded(make, tmp_path):
    b = GraphBuilder("net")
    x = b.input("data", (1, 3, 4, 4))
    x = b.add("relu", make.conv(b, x, 3, name="a", origin=Origin("a")), name="b", origin=Origin("b"))
    x = b.add("prelu", x, weight=make.numbers(3), name="c", origin=Origin("c", "m", "m.py:3"))
    target = FORMAT.target("stock")
    result = FORMAT.write(legalize(b.graph([x]), target), tmp_path, "net", target)
    assert [(name, covers) for name, _, covers in result.tensors] == [("b", ("a", "b")), ("c", ("c",))]
    assert "name=c.positive\n" in result.files[0].read_text()


def test_names_that_a_cfg_cannot_hold(network, write, tmp_path):
    names = ["0", "-12", "a b\tc", "a_b_c", "name=x", "é", "#"]

    def layers(b, x):
        for name in names:
            x = b.add("relu", x, name=name)
        return x

    cfg = write(network(layers))
    graph = FORMAT.read(Source(cfg))
    assert [n.name for n in graph.nodes] == ["layer0", "layer-12", "a_b_c", "a_b_c_1", "name=x", "é", "#"]
    with FORMAT.open_runner(Source(cfg)) as runner:
        assert runner.tensors == tuple(n.name for n in graph.nodes)


def test_a_vector_that_a_map_holds(network, write, images, tmp_path):
    """The last layer gives the vector, under its name; one of 1 x 1 maps needs no section for it."""
    graph = network(lambda b, x: b.add("reshape", b.add("relu", x), shape=(0, -1), name="flat"))
    cfg = write(graph)
    assert cfg.read_text().endswith("# 1\n[reshape]\nname=flat\nc=270\nh=1\nw=1\n")
    values = images(graph, 2)
    with FORMAT.open_runner(Source(cfg)) as runner:
        found = runner.run(values)["flat"].squeeze()
    np.testing.assert_array_equal(found, np.maximum(values, 0).reshape(2, -1))
    pooled = network(
        lambda b, x: b.add("reshape", b.add("max_pool", x, kernel=x.shape[2:], stride=(1, 1)), shape=(0, -1))
    )
    assert "[reshape]" not in write(pooled).read_text()


def test_a_layer_called_as_the_input(network, write):
    graph = FORMAT.read(Source(write(network(lambda b, x: b.add("relu", x, name="data")))))
    assert (graph.inputs[0].name, graph.outputs) == ("data", ("data_1",))
    builder = GraphBuilder("net")
    renamed = builder.graph([builder.add("relu", builder.input("images", (1, 5, 9, 6)), name="data")])
    graph = FORMAT.read(Source(write(renamed)))
    assert (graph.inputs[0].name, graph.outputs) == ("data_", ("data",))


def test_the_input_read_late_is_copied_first(network, make, write):
    graph = network(lambda b, x: b.add("concat", b.add("relu", x, name="y"), x, axis=1, name="z"))
    text = write(graph).read_text()
    assert "# 0\n[activation]\nname=data.copy\nactivation=linear\n" in text
    assert "[route]\nname=z\nlayers=1,0\n" in text


def test_several_outputs_are_refused(make):
    b = GraphBuilder("two")
    x = b.input("data", (1, 3, 4, 4))
    graph = b.graph([b.add("relu", x, name="a"), b.add("tanh", x, name="b")])
    with pytest.raises(UnsupportedError) as caught:
        legalize(graph, FORMAT.target(None))
    assert [r.because for r in caught.value.refusals] == [
        "a Darknet network has one output, its last layer; this is one of 2; --output picks one"
    ] * 2
    with pytest.raises(UnsupportedError, match="a Darknet network has one output"):
        FORMAT.write(graph, None, "two", FORMAT.target(None))
