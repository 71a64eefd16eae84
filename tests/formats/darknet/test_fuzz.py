"""Damaged files give an error of ours, or are read as the engine reads them; nothing else happens."""

import struct
from contextlib import suppress

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mgn_convert.errors import FileFormatError
from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.formats.darknet.engine import Network

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = b"""[net]
channels=2
height=8
width=6
[convolutional]
name=a
batch_normalize=1
filters=4
groups=2
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size_h=2
size_w=3
stride_h=1
padding_w=1
[slice]
slice_axis=2
slice_num=2
slice_pos=1
[shortcut]
from=-1
activation=linear
[route]
layers=-1,2
[upsample]
stride=2
[connected]
output=3
[softmax]
groups=3
"""
TOKENS = [
    b"0",
    b"-1",
    b"99999999",
    b"2147483647",
    b"x",
    b"",
    b"=",
    b"[route]",
    b"[net]",
    b"-0",
    b"\xff",
    b"1,2",
]
COUNT = 4 * 4 + 4 * 9 + 3 + 3 * (8 * 2 * 6)


def read(folder, text: bytes, weights: bytes):
    (folder / "x.cfg").write_bytes(text)
    (folder / "x.weights").write_bytes(weights)
    return FORMAT.read(Source(folder / "x.cfg"))


def good_weights() -> bytes:
    return struct.pack("<iiiq", 0, 2, 0, 0) + np.ones(COUNT, "<f4").tobytes()


def test_the_seed_is_good(tmp_path):
    assert read(tmp_path, TEXT, good_weights()).value("7.softmax").shape == (1, 3)


@QUICK
@given(weights=st.binary(max_size=900))
def test_random_weights(tmp_path, weights):
    with suppress(FileFormatError):
        read(tmp_path, TEXT, weights)


@QUICK
@given(data=st.data())
def test_mangled_cfg(tmp_path, data):
    lines = TEXT.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "double", "swap", "value", "cut", "token"]))
        token = data.draw(st.sampled_from(TOKENS))
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.insert(at, lines[data.draw(st.integers(0, len(lines) - 1))])
        elif change == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif change == "value":
            lines[at] = lines[at].split(b"=")[0] + b"=" + token
        elif change == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        else:
            lines[at] = token
    with suppress(FileFormatError):
        read(tmp_path, b"\n".join(lines), good_weights())


NUMBERED = [i for i, line in enumerate(TEXT.splitlines()) if line.split(b"=")[-1].lstrip(b"-").isdigit()]
WORDS = ["linear", "relu", "leaky", "relie", "elu", "logistic", "tanh", "hardtan", "loggy", "selu"]


def fitting_weights(path, count: int) -> None:
    numbers = np.random.default_rng(count).uniform(0.1, 1, count).astype("<f4")
    path.write_bytes(struct.pack("<iiiq", 0, 2, 0, 0) + numbers.tobytes())


def graph_or_none(cfg):
    """What the reader makes of a cfg, given weights of the length that it asks for."""
    for count in (COUNT, None):
        if count is not None:
            fitting_weights(cfg.with_suffix(".weights"), count)
        try:
            return FORMAT.read(Source(cfg))
        except FileFormatError as error:
            if "bytes, expected" not in error.got:
                return None
            wanted = int(error.got.split("expected ")[1].split()[0])
            fitting_weights(cfg.with_suffix(".weights"), (wanted - 20) // 4)
    raise AssertionError("the second time the length is right")


@QUICK
@given(
    changes=st.dictionaries(st.sampled_from(NUMBERED), st.integers(-3, 8), min_size=1, max_size=3),
    word=st.sampled_from(WORDS),
)
def test_reader_and_engine_agree(tmp_path, changes, word):
    """They refuse the same files, and give the same numbers for the others."""
    lines = TEXT.replace(b"leaky", word.encode()).splitlines()
    for at, number in changes.items():
        lines[at] = lines[at].split(b"=")[0] + b"=%d" % number
    cfg = tmp_path / "x.cfg"
    cfg.write_bytes(b"\n".join(lines))
    graph = graph_or_none(cfg)
    try:
        network = Network(cfg, cfg.with_suffix(".weights"))
    except FileFormatError:
        assert graph is None
        return
    assert graph is not None
    x = np.random.default_rng(0).standard_normal(graph.inputs[0].shape).astype(np.float32)
    wanted = graph.run({"data": x})[graph.outputs[0]]
    (found,) = network(x).values()
    # float32 against float64, six layers deep.
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=0, atol=5e-6 * max(1, wanted.max()))
