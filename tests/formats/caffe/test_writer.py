"""Writing: names, outputs, merged slices, determinism, provenance."""

import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT, text
from mgn_convert.graph import GraphBuilder, Origin
from mgn_convert.passes.legalize import legalize


def layers_of(prototxt):
    return text.read_text(prototxt)[0].layer


def test_sibling_slices_are_one_layer(in_opencv):
    b = GraphBuilder("net")
    x = b.input("x", (1, 4, 12, 5))
    parts = [b.add("slice", x, axis=2, start=i, stop=i + 3, name=f"part{i}") for i in (0, 3, 7)]
    again = b.add("slice", x, axis=2, start=2, stop=4, name="overlap")
    relus = [b.add("relu", part, name=f"{part.name}.relu") for part in (*parts, again)]
    layers = layers_of(in_opencv(b.graph(relus)))
    first, second = (layer for layer in layers if layer.type == "Slice")
    assert list(first.top) == ["part0", "part3", "data.slice.rest", "part7", "data.slice.rest_1"]
    assert list(first.slice_param.slice_point) == [3, 6, 7, 10]
    assert list(second.slice_param.slice_point) == [2, 4]
    silent = [list(layer.bottom) for layer in layers if layer.type == "Silence"]
    assert silent[0] == ["data.slice.rest", "data.slice.rest_1"]


def test_the_graphs_outputs_are_the_unread_tops(in_opencv):
    b = GraphBuilder("net")
    x = b.input("x", (1, 4, 6, 5))
    a = b.add("relu", x, name="a")
    c = b.add("tanh", a, name="c")
    left = b.add("slice", c, axis=1, start=0, stop=1, name="left")
    prototxt = in_opencv(b.graph([a, left, c]))
    layers = layers_of(prototxt)
    read = {bottom for layer in layers for bottom in layer.bottom}
    unread = [top for layer in layers for top in layer.top if top not in read]
    assert unread == ["a.output", "left.output", "c.output"]


def test_names_are_such_as_every_reader_takes(in_opencv):
    b = GraphBuilder("net")
    y = b.input("x", (1, 3, 4, 5))
    for name in ("data", "input", "a b:0", "a_b_0", "relu_split_1", "m[0]/ü"):
        y = b.add("relu", y, name=name)
    layers = layers_of(in_opencv(b.graph([y])))
    names = [layer.name for layer in layers]
    assert names == ["data", "data_1", "input_1", "a_b_0", "a_b_0_1", "relu_split-1", "m_0_/_"]
    assert names == [layer.top[0] for layer in layers]


def small_graph():
    b = GraphBuilder("net")
    x = b.input("x", (1, 3, 9, 8))
    f = np.random.default_rng(1).standard_normal
    y = b.add(
        "conv",
        x,
        weight=f((4, 3, 3, 3)).astype(np.float32),
        name="conv",
        origin=Origin("convolution", "m.conv"),
    )
    y = b.add(
        "batch_norm",
        y,
        mean=np.zeros(4, np.float32),
        var=np.ones(4, np.float32),
        weight=f(4).astype(np.float32),
        name="bn",
        origin=Origin("batch_norm", "m.bn"),
    )
    y = b.add("max_pool", y, kernel=(3, 2), stride=(2, 2), name="pool", origin=Origin("max_pool", "m.pool"))
    return b.graph([y])


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    target = FORMAT.target(None)
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written = FORMAT.write(legalize(small_graph(), target), tmp_path / name, "net", target)
        files.append([path.read_bytes() for path in written.files])
    assert files[0] == files[1]


def test_places_name_the_tensors_of_the_first_graph(tmp_path):
    target = FORMAT.target(None)
    written = FORMAT.write(legalize(small_graph(), target), tmp_path, "net", target)
    assert [path.name for path in written.files] == ["net.prototxt", "net.caffemodel"]
    assert written.outputs == ("pool",)
    assert written.tensors == tuple((name, {"blob": name}, (name,)) for name in ("conv", "bn", "pool"))


def test_batch_norm_is_two_layers_and_its_top_is_the_value(written):
    layers = [layer for layer in layers_of(written(small_graph())) if layer.name.startswith("bn")]
    assert [(layer.name, layer.type, layer.top[0]) for layer in layers] == [
        ("bn.norm", "BatchNorm", "bn.norm"),
        ("bn", "Scale", "bn"),
    ]


def test_only_the_input_names_the_batch(in_opencv):
    b = GraphBuilder("net")
    x = b.input("x", (1, 6, 4, 5))
    y = b.add("reduce", x, kind="mean", axes=(1,), keepdims=True)
    prototxt = in_opencv(b.graph([b.add("reshape", y, shape=(0, -1))]))
    dims = [list(layer.reshape_param.shape.dim) for layer in layers_of(prototxt) if layer.type == "Reshape"]
    assert dims
    assert all(dim[0] == 0 for dim in dims)


def test_what_is_written_is_read_again(written):
    graph = small_graph()
    again = FORMAT.read(Source(written(graph)))
    x = np.random.default_rng(2).standard_normal((2, 3, 9, 8))
    np.testing.assert_allclose(again.run({"data": x})["pool"], graph.run({"x": x})["pool"], atol=1e-7)


def test_dialects():
    assert FORMAT.dialects() == ("portable", "bvlc-1.0", "bvlc-master", "opencv")
    with pytest.raises(UsageError) as caught:
        FORMAT.target("ssd")
    assert str(caught.value) == (
        "caffe has no dialect 'ssd'\n  try      --dialect with one of portable, bvlc-1.0, bvlc-master, opencv"
    )
