"""Networks that torch exports become graphs that compute what the networks compute."""

import contextlib
import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx_models import relative_error
from ordinary_networks import ORDINARY
from small_networks import SmallMGN, calibrated
from torch import nn

from mgn_convert.formats import Source
from mgn_convert.formats.onnx.reader import read
from mgn_convert.passes.images_first import images_first

SHAPE = (3, 32, 24)


def exported(network, path, shape, *, opset=17, dynamic=True, outputs=1):
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2 if dynamic else 1, *shape),),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=["images"],
            output_names=["embedding", "logits"][:outputs],
            dynamic_axes={"images": {0: "batch"}} if dynamic else None,
        )
    return path


def assert_equal(network, path, shape):
    graph = read(Source(path))
    images = np.random.default_rng(5).standard_normal((3, *shape))
    with torch.no_grad():
        result = network.double()(torch.from_numpy(images))
    wanted = [result] if isinstance(result, torch.Tensor) else [*result]
    for count in (1, 3):
        found = graph.run({"images": images[:count]})
        assert list(found) == ["embedding", "logits"][: len(wanted)]
        for array, tensor in zip(found.values(), wanted, strict=True):
            assert relative_error(array, tensor.numpy()[:count]) < 2e-6
    return graph


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("name", ORDINARY)
def test_an_exported_network(tmp_path, name, dynamic):
    network = calibrated(ORDINARY[name](), SHAPE)
    if name == "mobilenet":  # whose windows of several sizes torch.onnx cannot write
        network[-4], network[-1] = nn.AdaptiveAvgPool2d((2, 1)), nn.Linear(22, 7)
    graph = assert_equal(network, exported(network, tmp_path / "net.onnx", SHAPE, dynamic=dynamic), SHAPE)
    assert all(node.shape[0] == 1 for node in images_first(graph) if node.op != "constant")
    assert graph.inputs[0].shape == (1, *SHAPE)


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
def test_the_family_in_every_opset(tmp_path, opset):
    network = calibrated(SmallMGN(), (3, 48, 16))
    assert_equal(
        network, exported(network, tmp_path / "net.onnx", (3, 48, 16), opset=opset, outputs=2), (3, 48, 16)
    )


def test_attention_with_the_images_on_axis_1(tmp_path):
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(12, 3)

        def forward(self, x):
            x = x.permute(2, 0, 1)
            return self.attention(x, x, x, need_weights=False)[0].permute(1, 2, 0)

    torch.manual_seed(0)
    network = Encoder()  # in training mode torch does not fuse the layer into one call of its own
    for dynamic in (True, False):
        path = exported(network.train(), tmp_path / "net.onnx", (12, 7), dynamic=dynamic)
        assert_equal(network, path, (12, 7))
        network.float()


def test_weights_in_a_second_file(tmp_path):
    network = calibrated(SmallMGN(), (3, 48, 16))
    path = exported(network, tmp_path / "net.onnx", (3, 48, 16), outputs=2)
    apart = {"save_as_external_data": True, "location": "net.bin", "size_threshold": 0}
    onnx.save(onnx.load(path), path, **apart)
    assert (tmp_path / "net.bin").is_file()
    assert_equal(network, path, (3, 48, 16))


def test_half_precision_weights(tmp_path):
    path = exported(calibrated(SmallMGN(), (3, 48, 16)), tmp_path / "net.onnx", (3, 48, 16), outputs=2)
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), tensor.name))
    onnx.save(proto, path)
    graph = read(Source(path))
    assert {a.dtype for node in graph for a in node.params.values()} == {np.dtype("float32")}
    assert any(np.array_equal(a, a.astype(np.float16)) for node in graph for a in node.params.values())
