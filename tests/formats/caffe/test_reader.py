"""Reading: the syntaxes of all ages, blobs in place, phases, shared weights, the manifest."""

import hashlib
import io

import numpy as np
import pytest

from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT, net, text
from mgn_convert.formats.caffe.binary import Blob, Weights, write_caffemodel
from mgn_convert.formats.caffe.reader import read_net
from mgn_convert.formats.provenance import Provenance
from mgn_convert.graph import Origin
from mgn_convert.manifest import Artefact, Manifest, Tensor, manifest_path

DATA = (
    'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 3 } } }\n'
)
IP = (
    'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" '
    "inner_product_param { num_output: 2 } }\n"
)
WEIGHT = np.arange(48, dtype=np.float32).reshape(2, 24) / 24
BIAS = np.array([0.5, -1], np.float32)


def graph_of(prototxt: str, **weights: list[np.ndarray]):
    network = net.resolve(*text.parse(prototxt, "net.prototxt"), "net.prototxt")
    blobs = {name: tuple(Blob(array) for array in arrays) for name, arrays in weights.items()}
    return read_net(network, blobs, "net.caffemodel", Provenance())


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape)


def only(graph, data, name="data"):
    (answer,) = graph.run({name: data}).values()
    return answer


LEGACY = {
    "input_dim": 'input: "data" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 3\n' + IP,
    "input_shape": 'input: "data" input_shape { dim: 1 dim: 2 dim: 4 dim: 3 }\n' + IP,
    "v1": 'input: "data" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 3\n'
    'layers { name: "ip" type: INNER_PRODUCT bottom: "data" top: "ip" blobs_lr: 1 weight_decay: 1\n'
    '  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }\n',
    "new": DATA + IP,
}


@pytest.mark.parametrize("syntax", LEGACY)
def test_every_syntax_says_the_same(syntax):
    graph = graph_of(LEGACY[syntax], ip=[WEIGHT, BIAS])
    x = images(3, 2, 4, 3)
    np.testing.assert_allclose(only(graph, x), x.reshape(3, -1) @ WEIGHT.T + BIAS, rtol=1e-12)
    assert graph.outputs == ("ip",)


def test_v1_activations_and_phases():
    graph = graph_of(
        'input: "data" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 3\n'
        'layers { name: "r" type: RELU bottom: "data" top: "data" relu_param { negative_slope: 0.5 } }\n'
        'layers { name: "d" type: DROPOUT bottom: "data" top: "data" }\n'
        'layers { name: "c" type: CONCAT bottom: "data" bottom: "data" top: "c"'
        " concat_param { concat_dim: 2 } }\n"
        'layers { name: "t" type: TANH bottom: "c" top: "t" include { phase: TRAIN } }\n'
        'layers { name: "b" type: BNLL bottom: "c" top: "b" exclude { phase: TRAIN } }\n'
    )
    assert [node.op for node in graph] == ["leaky_relu", "concat", "softplus"]
    assert graph.outputs == ("b",)


def test_layers_of_another_stage_do_not_run():
    rules = {
        "include { phase: TEST }": True,
        "include { phase: TRAIN } include { phase: TEST }": True,
        'include { phase: TEST stage: "deploy" }': False,
        'include { not_stage: "deploy" }': True,
        "include { min_level: 1 }": False,
        "exclude { max_level: -1 }": True,
        "exclude { phase: TEST }": False,
    }
    for rule, runs in rules.items():
        relu = f'layer {{ name: "r" type: "ReLU" bottom: "data" top: "r" {rule} }}\n'
        graph = graph_of(DATA + relu + 'layer { name: "t" type: "TanH" bottom: "data" top: "t" }')
        assert graph.outputs == (("r", "t") if runs else ("t",)), rule


def test_in_place_layers_give_every_version_a_name():
    graph = graph_of(
        DATA
        + 'layer { name: "conv" type: "Power" bottom: "data" top: "conv" power_param { scale: -2 } }\n'
        + 'layer { name: "early" type: "TanH" bottom: "conv" top: "early" }\n'
        + 'layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }\n'
        + 'layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }\n'
        + 'layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "early" top: "sum" }\n'
    )
    assert [node.name for node in graph] == ["conv.conv", "early", "conv", "sum"]
    x = images(2, 2, 4, 3)
    np.testing.assert_allclose(only(graph, x), np.maximum(-2 * x, 0) + np.tanh(-2 * x), rtol=1e-12)


def test_shared_weights_are_one_array():
    shared = 'param { name: "w" } param { name: "b" }'
    graph = graph_of(
        DATA
        + IP.replace("inner_product_param", f"{shared} inner_product_param")
        + IP.replace("inner_product_param", f"{shared} inner_product_param").replace('"ip"', '"ip2"'),
        ip=[WEIGHT, BIAS],
    )
    first, second = graph.nodes[1::2]
    assert first.params["weight"] is second.params["weight"]
    assert graph.parameter_count() == WEIGHT.size + BIAS.size


def test_split_and_silence():
    graph = graph_of(
        DATA
        + 'layer { name: "s" type: "Split" bottom: "data" top: "a" top: "b" }\n'
        + 'layer { name: "r" type: "ReLU" bottom: "a" top: "r" }\n'
        + 'layer { name: "q" type: "Silence" bottom: "b" }\n'
    )
    assert graph.outputs == ("r",)
    assert [node.op for node in graph] == ["relu"]


def test_reshape_and_flatten_fit_any_batch():
    graph = graph_of(
        DATA.replace("dim: 1", "dim: 5", 1)
        + 'layer { name: "f" type: "Flatten" bottom: "data" top: "f" flatten_param { axis: 2 } }\n'
        + 'layer { name: "r" type: "Reshape" bottom: "f" top: "r"'
        + " reshape_param { shape { dim: 5 dim: 24 } } }\n"
        + 'layer { name: "g" type: "Reshape" bottom: "r" top: "g"\n'
        + "  reshape_param { axis: -2 num_axes: 1 shape { dim: 6 dim: 4 } } }\n"
    )
    assert only(graph, images(3, 2, 4, 3)).shape == (3, 6, 4)


def test_batch_norm_divides_by_its_factor():
    bn = 'layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" batch_norm_param { eps: 0.5 } }'
    mean, var = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    for factor, scale in ((1, 1), (4, 0.25), (0, 0)):
        graph = graph_of(DATA + bn, bn=[mean, var, np.array([factor], np.float32)])
        x = images(1, 2, 4, 3)
        m, v = (array.astype(float).reshape(1, 2, 1, 1) * scale for array in (mean, var))
        wanted = (x - m) / np.sqrt(v + 0.5)
        np.testing.assert_allclose(only(graph, x), wanted, rtol=1e-12)


def test_batch_norm_and_scale_are_one_node():
    bn = 'layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" }\n'
    scale = 'layer { name: "s" type: "Scale" bottom: "bn" top: "bn" scale_param { bias_term: true } }\n'
    one = np.ones(2, np.float32)
    weights = {"bn": [one, one, one[:1]], "s": [2 * one, 3 * one]}
    (node,) = graph_of(DATA + bn + scale, **weights).nodes
    assert (node.op, node.name, node.params["weight"][0], node.params["bias"][0]) == (
        "batch_norm",
        "bn",
        2,
        3,
    )
    apart = graph_of(
        DATA + bn + scale.replace('top: "bn"', 'top: "s"') + IP.replace('"data"', '"bn"'),
        **weights,
        ip=[WEIGHT, BIAS],
    )
    assert [node.op for node in apart] == ["batch_norm", "scale", "reshape", "linear"]


def test_origins_are_blob_layer_and_line():
    node = graph_of(DATA + IP, ip=[WEIGHT, BIAS]).node("ip")
    assert node.origin == Origin("ip", "ip", "net.prototxt:2")


def saved(tmp_path, prototxt: str, layers: list[Weights]) -> Source:
    (tmp_path / "net.prototxt").write_text(prototxt)
    file = io.BytesIO()
    write_caffemodel(file, "net", layers)
    (tmp_path / "net.caffemodel").write_bytes(file.getvalue())
    return Source(tmp_path / "net.prototxt")


def test_manifest_restores_names(tmp_path):
    source = saved(tmp_path, DATA + IP, [Weights("ip", (WEIGHT, BIAS))])
    origin = Origin("addmm", "fc", "model.py:9")
    digest = hashlib.sha256((DATA + IP).encode()).hexdigest()
    part = Artefact(
        "caffe",
        "portable",
        {"net.prototxt": {"bytes": 1, "sha256": digest}},
        (Tensor("addmm", {"blob": "ip"}, (origin,)),),
        ("addmm",),
    )
    manifest = Manifest("net", "x", (1, 2, 4, 3), None, {}, {"caffe": part})
    manifest.save(manifest_path(source.path))
    graph = FORMAT.read(source)
    assert graph.inputs[0].name == "x"
    assert graph.node("addmm").origin == origin
    assert graph.node("ip.flat").origin.tensor == ""
    with FORMAT.open_runner(source) as runner:
        assert runner.tensors == runner.outputs == ("addmm",)
        x = images(2, 2, 4, 3)
        np.testing.assert_allclose(runner.run_isolated("addmm", {"x": x}), only(graph, x, "x"), atol=1e-6)
