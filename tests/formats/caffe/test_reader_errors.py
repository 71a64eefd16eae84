"""Files that cannot be read: every message names the layer and its line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgn_convert.errors import FileFormatError, MgnConvertError, UnsupportedError
from mgn_convert.formats import Source
from mgn_convert.formats.caffe import FORMAT, net, text
from mgn_convert.formats.caffe.binary import Blob
from mgn_convert.formats.caffe.reader import read_net
from mgn_convert.formats.provenance import Provenance

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


def error_of(prototxt: str, kind=FileFormatError, **weights) -> str:
    with pytest.raises(kind) as caught:
        graph_of(prototxt, **weights)
    return str(caught.value)


def test_several_unsupported_layers_are_one_error():
    assert error_of(
        DATA
        + 'layer { name: "u" type: "Upsample" bottom: "data" top: "u" }\n'
        + 'layer { name: "p" type: "PSROIPooling" bottom: "u" top: "p" }\n',
        UnsupportedError,
    ) == (
        "2 layers cannot be read\n\n"
        'the layer Upsample "u" cannot be read\n'
        '  at       Upsample "u" (net.prototxt:2)\n'
        "  because  there is no rule for layers of type Upsample\n"
        '  try      add a rule: CONTRIBUTING.md, "Add an op"\n\n'
        'the layer PSROIPooling "p" cannot be read\n'
        '  at       PSROIPooling "p" (net.prototxt:3)\n'
        "  because  there is no rule for layers of type PSROIPooling\n"
        '  try      add a rule: CONTRIBUTING.md, "Add an op"'
    )


def test_a_training_prototxt():
    message = error_of('layer { name: "d" type: "Data" top: "data" }' + IP, UnsupportedError)
    assert "the deploy prototxt, which begins with an Input layer" in message


def test_missing_weights():
    assert error_of(DATA + IP) == (
        'net.caffemodel lacks weights of InnerProduct "ip"\n'
        '  at       InnerProduct "ip" (net.prototxt:2)\n'
        "  because  it needs blob 0 of shape 2x24; Caffe would run with random numbers\n"
        "  got      0 blobs under this name\n"
        "  try      the caffemodel that was saved with this very prototxt"
    )


def test_weights_of_another_shape():
    assert error_of(DATA + IP, ip=[WEIGHT.T, BIAS]) == (
        'net.caffemodel does not fit InnerProduct "ip"\n'
        '  at       InnerProduct "ip" (net.prototxt:2)\n'
        "  because  blob 0 has shape 2x24\n"
        "  got      24x2\n"
        "  try      the caffemodel that was saved with this very prototxt"
    )


def test_a_bottom_that_nobody_makes():
    assert error_of(DATA + IP.replace('bottom: "data"', 'bottom: "dat"')) == (
        "net.prototxt: nobody makes the bottom 'dat'\n"
        '  at       InnerProduct "ip" (net.prototxt:2)\n'
        "  because  a bottom is an earlier top"
    )


def test_clashes():
    assert "a second layer makes the top 'ip'" in error_of(DATA + IP + IP.replace('name: "ip"', 'name: "b"'))
    assert "a second layer has this name" in error_of(DATA + IP + IP.replace('top: "ip"', 'top: "b"'))
    assert "has `layer` and `layers` entries" in error_of(DATA + "layers { }")


def test_shapes_that_do_not_fit():
    message = error_of(
        DATA
        + 'layer { name: "s" type: "Slice" bottom: "data" top: "a" top: "b"'
        + " slice_param { slice_point: 1 } }\n"
        + IP.replace('"data"', '"a"')
        + 'layer { name: "c" type: "Concat" bottom: "b" bottom: "ip" top: "c" }\n',
        ip=[WEIGHT[:, :12], BIAS],
    )
    assert message == (
        'Concat "c" does not fit its bottoms\n'
        '  at       Concat "c" (net.prototxt:4)\n'
        "  because  concat: the inputs differ on axis 1 alone\n"
        "  got      [(1, 1, 4, 3), (1, 2)]"
    )


def test_input_without_shape():
    assert "does not tell its shape" in error_of('input: "data"\n' + IP)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ('type: "BatchNorm" batch_norm_param { use_global_stats: false }', "statistics of the batch at hand"),
        ('type: "Pooling" pooling_param { kernel_size: 1 stride: 3 }', "begins past the input"),
        ('type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 }', "only MAX and AVE"),
        ('type: "Pooling" pooling_param { }', "kernel and stride are positive"),
        ('type: "Convolution" convolution_param { num_output: 3 }', "one or two sizes each"),
        ('type: "Convolution" convolution_param { num_output: 3 kernel_size: 1 group: 3 }', "groups divide"),
        ('type: "Slice" slice_param { axis: 1 slice_point: 2 }', "slice points rise"),
        ('type: "Eltwise"', "two bottoms or more"),
        ('type: "LRN" lrn_param { norm_region: WITHIN_CHANNEL }', "across an odd number of channels"),
        ('type: "Tile"', "tiles is a positive number"),
        ('type: "Softmax" softmax_param { axis: 7 }', "axis must be within a value of 4 axes"),
    ],
)
def test_layers_that_have_no_meaning(layer, reason):
    message = error_of(DATA + f'layer {{ name: "l" {layer} bottom: "data" top: "l" }}', MgnConvertError)
    assert reason in message
    assert "net.prototxt:2" in message


def test_missing_caffemodel(tmp_path):
    (tmp_path / "net.prototxt").write_text(DATA + IP)
    with pytest.raises(FileFormatError, match=r"there is no .*net\.caffemodel"):
        FORMAT.read(Source(tmp_path / "net.prototxt"))


WORDS = ["0", "1", "-1", "7", "4294967295", '"data"', '"x"', "MAX", "{", "}", "true", "1e9", "nan"]
FULL = (
    DATA
    + 'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
    + "convolution_param { num_output: 2 kernel_size: 1 pad: 0 group: 1 dilation: 1 } }\n"
    + 'layer { name: "p" type: "Pooling" bottom: "c" top: "p" '
    + "pooling_param { kernel_size: 2 stride: 2 pad: 1 } }\n"
    + 'layer { name: "r" type: "Reshape" bottom: "p" top: "r" reshape_param { shape { dim: 0 dim: -1 } } }\n'
    + 'layer { name: "s" type: "Slice" bottom: "p" top: "a" top: "b" '
    + "slice_param { axis: 1 slice_point: 1 } }\n"
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_prototxt_is_read_or_refused(data):
    words = FULL.split()
    for _ in range(data.draw(st.integers(1, 3))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.sampled_from(WORDS))
    try:
        graph_of(" ".join(words), c=[np.ones((2, 2, 1, 1), np.float32), BIAS])
    except MgnConvertError:
        return
