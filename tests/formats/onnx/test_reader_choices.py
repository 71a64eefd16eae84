"""What an image chooses: channels by their scores, and places of maxima."""

import numpy as np
import pytest
from onnx_models import assert_read, model, node


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("largest", [0, 1])
def test_channels_chosen_as_our_writer_does(tmp_path, largest):
    nodes = [
        node("GlobalAveragePool", "x", "p"),
        node("Flatten", "p", "scores"),
        node("TopK", "scores k", "best indices", axis=1, largest=largest),
        node("Unsqueeze", "indices last", "i"),
        node("GatherND", "x i", batch_dims=1),
    ]
    given = {"k": ints(2), "last": ints(2)}
    graph = assert_read(model(nodes, (5, 4, 3), given, outputs="y best"), tmp_path)
    assert [n.op for n in graph].count("top_channels") == 2


def test_channels_chosen_as_torch_does(tmp_path):
    nodes = [
        node("GlobalAveragePool", "x", "p"),
        node("Flatten", "p", "scores"),
        node("TopK", "scores k", "best indices"),
        node("Reshape", "indices wide", "i"),
        node("Shape", "i", "i_size"),
        node("Shape", "x", "x_size"),
        node("Slice", "i_size zero two", "front"),
        node("Slice", "x_size two four", "back"),
        node("Concat", "front back", "size", axis=0),
        node("Expand", "i size", "e"),
        node("GatherElements", "x e", axis=1),
    ]
    given = {"k": ints(2), "wide": ints(0, 2, 1, 1), "zero": ints(0), "two": ints(2), "four": ints(4)}
    graph = assert_read(model(nodes, (5, 4, 3), given), tmp_path)
    assert [n.op for n in graph] == ["reduce", "reshape", "top_channels"]


@pytest.mark.parametrize("told", [True, False])
def test_unpooling(tmp_path, told):
    """With what the windows leave over cut off before, and filled with zeros behind."""
    nodes = [
        node("Slice", "x zero ends axes", "s"),
        node("MaxPool", "s", "p places", kernel_shape=[2, 3], strides=[2, 3]),
        node("Neg", "p", "n"),
        node("MaxUnpool", "n places" + (" size" if told else ""), "u", kernel_shape=[2, 3], strides=[2, 3]),
        node("Pad", "u pads"),
    ]
    given = {"zero": ints(0, 0), "ends": ints(4, 6), "axes": ints(2, 3), "pads": ints(0, 0, 0, 0, 0, 0, 1, 1)}
    given |= {"size": ints(1, 3, 4, 6)} if told else {}
    batch = 1 if told else "N"
    graph = assert_read(model(nodes, (3, 5, 7), given, batch=batch), tmp_path)
    assert [n.op for n in graph] == ["slice", "slice", "max_pool", "power", "max_unpool", "pad"]
