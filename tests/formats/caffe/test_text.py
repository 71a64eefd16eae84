"""prototxt and the schema behind it."""

import sys
import types

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.caffe import text
from mgn_convert.formats.caffe.proto import net_parameter

NET = """\
# a comment
layer { top: ["a", 'b'] type: "Slice" name: "s"   # any order
  slice_param { slice_point: [2, 3] } }
layer: {
  name: "r" type: "Reshape"
  reshape_param < shape { dim: 0 dim: -1 } >
}
name: "n"
"""


def test_reads_both_list_syntaxes_and_any_order():
    net, lines = text.parse(NET)
    assert net.name == "n"
    assert list(net.layer[0].top) == ["a", "b"]
    assert list(net.layer[0].slice_param.slice_point) == [2, 3]
    assert list(net.layer[1].reshape_param.shape.dim) == [0, -1]
    assert lines == [2, 4]


def test_lines_of_a_list_of_layers():
    assert text.parse('layer [\n{ name: "a" },\n{ name: "{" }\n]\nlayer {}')[1] == [1, 3, 5]


def test_prints_shortest_numbers_and_reads_them_back():
    net = net_parameter()
    layer = net.layer.add(name="bn", type="BatchNorm")
    layer.batch_norm_param.eps = 1e-5
    layer.power_param.power = 1 / 3
    printed = text.print_text(net)
    assert "eps: 1e-05\n" in printed
    assert "power: 0.33333334\n" in printed
    assert text.parse(printed)[0] == net
    assert text.print_text(text.parse(printed)[0]) == printed


@pytest.mark.parametrize(
    ("content", "place", "rule"),
    [
        ('layer {\n  name "a"\n', "line 2, column 8", "Expected"),
        (
            "layer {\n  pooling_param { mode: 3 }\n}",
            "line 2, column 19",
            'Message type "PoolingParameter" has no field named "mode"',
        ),
        (
            "layer { pooling_param { pool: MEAN } }",
            "line 1, column 31",
            'Enum type "PoolingParameter.PoolMethod" has no value named MEAN',
        ),
        ("layer { convolution_param { num_output: -3 } }", "line 1, column 41", "Value out of range"),
        ('name: "\\xzz', "line 1", ""),
    ],
)
def test_errors_tell_line_and_column(content, place, rule, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(content)
    with pytest.raises(FileFormatError) as caught:
        text.read_text(path)
    assert place in caught.value.at
    assert rule in caught.value.because
    assert caught.value.remedy


def test_message_of_an_unknown_field(tmp_path):
    with pytest.raises(FileFormatError) as caught:
        text.parse("layer {\n  mode: 3\n}", "net.prototxt")
    assert str(caught.value) == (
        "net.prototxt breaks the prototxt format\n"
        "  at       net.prototxt, line 2, column 3\n"
        '  because  Message type "LayerParameter" has no field named "mode".\n'
        "  try      remove the field, or if a fork of Caffe made it, write the layer as BVLC Caffe spells it"
    )


def test_a_caffemodel_in_place_of_a_prototxt(tmp_path):
    (tmp_path / "net.prototxt").write_bytes(b"\n\x03net\xa2\x06\xff\xfe")
    with pytest.raises(FileFormatError, match="is not a prototxt"):
        text.read_text(tmp_path / "net.prototxt")


def test_lives_beside_a_foreign_caffe_pb2(monkeypatch):
    """A caffe_pb2 of another dialect, in protobuf's default pool, with the same names inside."""
    foreign = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe")
    message = foreign.message_type.add(name="NetParameter")
    message.field.add(name="name", number=1, label=1, type=descriptor_pb2.FieldDescriptorProto.TYPE_INT32)
    descriptor_pool.Default().Add(foreign)
    found = descriptor_pool.Default().FindMessageTypeByName("caffe.NetParameter")
    module = types.ModuleType("caffe_pb2")
    module.NetParameter = message_factory.GetMessageClass(found)
    monkeypatch.setitem(sys.modules, "caffe_pb2", module)
    theirs, ours = module.NetParameter(name=7), net_parameter()
    ours.name = "seven"
    assert (theirs.name, ours.name) == (7, "seven")
