"""caffemodel: views over the file, streamed writing, and damage of every kind."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgn_convert.errors import FileFormatError, MgnConvertError, UnsupportedError
from mgn_convert.formats.caffe import binary
from mgn_convert.formats.caffe.binary import Weights
from mgn_convert.formats.caffe.proto import net_parameter
from mgn_convert.protobuf import wire

A = np.arange(6, dtype=np.float32).reshape(1, 2, 3) - 2.5
B = np.float32(0.25)


def small() -> bytes:
    file = io.BytesIO()
    layers = [
        Weights("conv1", (A, A[0, 0]), "Convolution", ("data",), ("conv1",)),
        Weights("prelu", (B[()],)),
    ]
    binary.write_caffemodel(file, "net", layers)
    return file.getvalue()


def test_protobuf_reads_what_is_written():
    net = net_parameter()
    net.ParseFromString(small())
    first, second = net.layer
    assert (net.name, first.name, first.type, list(first.bottom), list(first.top)) == (
        "net",
        "conv1",
        "Convolution",
        ["data"],
        ["conv1"],
    )
    assert [list(blob.shape.dim) for blob in first.blobs] == [[1, 2, 3], [3]]
    assert list(first.blobs[0].data) == A.ravel().tolist()
    assert list(second.blobs[0].data) == [0.25]
    assert not second.blobs[0].HasField("shape")
    assert net.SerializeToString(deterministic=True) != b""


def test_reading_gives_views_over_the_file(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(small())
    found = binary.read_caffemodel(path)
    weight, bias = (blob.array for blob in found["conv1"])
    np.testing.assert_array_equal(weight, A)
    np.testing.assert_array_equal(bias, A[0, 0])
    assert not weight.flags.owndata
    assert not weight.flags.writeable
    assert found["prelu"][0].array.tolist() == [0.25]


def test_an_empty_file_has_no_weights(tmp_path):
    (tmp_path / "net.caffemodel").touch()
    assert binary.read_caffemodel(tmp_path / "net.caffemodel") == {}


def test_other_types_are_written_as_float32():
    file = io.BytesIO()
    binary.write_caffemodel(file, "n", [Weights("a", (np.arange(4.0)[::2], np.asfortranarray(A[0])))])
    first, second = (blob.array for blob in binary.parse(file.getvalue())["a"])
    assert first.tolist() == [0.0, 2.0]
    np.testing.assert_array_equal(second, A[0])


def old_net(**fields) -> bytes:
    net = net_parameter()
    layer = net.layers.add(name="ip")
    blob = layer.blobs.add(**fields)
    assert blob is not None
    return net.SerializeToString()


def test_files_of_2013_have_four_dimensions():
    blob = binary.parse(old_net(num=1, channels=1, height=2, width=3, data=range(6)))["ip"][0]
    assert blob.legacy
    assert blob.array.shape == (1, 1, 2, 3)


def test_double_data_becomes_float32():
    blob = binary.parse(old_net(num=1, channels=1, height=1, width=2, double_data=[0.1, 2]))["ip"][0]
    assert blob.array.dtype == np.float32
    assert blob.array.ravel().tolist() == [np.float32(0.1), 2]


def nested(*levels: int, content: bytes) -> bytes:
    for number in reversed(levels):
        content = wire.prefix(number, len(content)) + content
    return content


def test_values_one_by_one_and_in_pieces():
    loose = b"".join(b"\x2d" + struct.pack("<f", v) for v in (1.5, 2.5, 3.5))
    packed = wire.prefix(5, 8) + struct.pack("<2f", 4.5, 5.5)
    layer = wire.text(1, "a") + nested(7, content=loose + packed + loose[:5])
    blob = binary.parse(nested(100, content=layer))["a"][0]
    assert blob.array.tolist() == [1.5, 2.5, 3.5, 4.5, 5.5, 1.5]


def test_truncated_anywhere_is_refused_or_leaves_whole_layers():
    whole = small()
    full = binary.parse(whole)
    for size in range(len(whole)):
        try:
            found = binary.parse(whole[:size])
        except FileFormatError:
            continue
        assert all(name in full and len(found[name]) == len(full[name]) for name in found)
        assert len(found) < len(full)


def refused(data: bytes) -> str:
    with pytest.raises(FileFormatError) as caught:
        binary.parse(data, "net.caffemodel")
    return str(caught.value)


def test_message_of_a_truncated_file():
    whole = small()
    assert refused(whole[:-3]) == (
        "net.caffemodel is not a whole caffemodel\n"
        "  at       net.caffemodel, byte 97\n"
        "  because  field 100 needs 15 bytes, 12 are left\n"
        "  got      a file of 112 bytes\n"
        "  try      copy or download the file again, and check its size"
    )


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (small() + b"\0\0\0\0", "a field number is between 1 and 2^29 - 1"),
        (b"\xa3\x06", "wire type 3 does not occur in such files"),
        (b"\xff" * 11, "a number has at most 10 bytes"),
        (b"\xa0\x06\x01", "field 100 is a message and has wire type 2"),
        (nested(100, content=b"\x08\x01"), "field 1 is a message and has wire type 2"),
        (nested(100, content=wire.prefix(1, 1) + b"\xff"), "field 1 is a string in UTF-8"),
        (nested(100, 7, 5, content=b"abc"), "packed field 5 is a multiple of 4 bytes"),
        (nested(100, 7, content=b"\x28\x01"), "field 5 holds numbers of 4 bytes"),
        (nested(100, 7, content=b"\x0a\0"), "field 1 is a whole number and has wire type 0"),
        (
            nested(100, 7, content=nested(7, 1, content=b"\x02\x03") + nested(5, content=b"\0" * 8)),
            "the blob has 2 values, but its shape is 2x3",
        ),
    ],
)
def test_damage(data, rule):
    assert f"because  {rule}" in refused(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_are_read_or_refused(data):
    content = bytearray(small())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = binary.parse(bytes(content))
    except MgnConvertError:
        return
    assert all(blob.array.dtype == np.float32 for blobs in found.values() for blob in blobs)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_noise_is_read_or_refused(content):
    try:
        binary.parse(content)
    except FileFormatError:
        return


def test_too_large_is_refused_before_the_first_byte():
    huge = np.broadcast_to(np.float32(0), (2**29 - 1,))
    file = io.BytesIO()
    with pytest.raises(UnsupportedError) as caught:
        binary.write_caffemodel(file, "net", [Weights("a", (huge,))])
    assert file.getvalue() == b""
    assert caught.value.got == "2147483680 bytes"
    assert caught.value.because == "protobuf, and so every Caffe, reads at most 2147483647 bytes"


def test_missing_file():
    with pytest.raises(FileFormatError, match="cannot be read"):
        binary.read_caffemodel(Path("nowhere.caffemodel"))
