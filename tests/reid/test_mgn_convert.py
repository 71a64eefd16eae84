"""MGN through the PyTorch front end: from a checkpoint, by its registered name, to a graph."""

import numpy as np
import torch
from seeded import seeded

from mgn_convert.formats import Source
from mgn_convert.formats.pytorch import FORMAT
from mgn_convert.formats.pytorch.network import load
from mgn_reid.models.mgn import MGN


def test_a_checkpoint_without_heads_becomes_an_equal_graph(tmp_path):
    with torch.device("meta"):
        network = MGN(pool="avg", activation="prelu", input_size="96x32")
    seeded(network).float()
    kept = {f"module.{k}": v for k, v in network.state_dict().items() if not k.startswith("fc_")}
    torch.save({"state_dict": kept}, tmp_path / "mgn.pth")

    source = Source(
        tmp_path / "mgn.pth", architecture="mgn", options={"pool": "avg"}, input_shape=(3, 96, 32)
    )
    loaded = load(source)
    assert loaded.keys.missing == ()
    assert len(loaded.keys.absent) == 16
    assert (loaded.preprocessing.height, loaded.preprocessing.width) == (96, 32)

    graph = FORMAT.read(source)
    assert graph.outputs == ("cat",)
    assert {node.op for node in graph} == {
        "conv", "batch_norm", "relu", "prelu", "max_pool", "avg_pool", "add", "slice", "reshape", "concat",
    }  # fmt: skip
    assert len([node for node in graph if node.op == "conv"]) == 111
    assert graph.node("p2.0.4.add").origin.source.startswith("resnet.py:")

    images = np.random.default_rng(0).standard_normal((1, 3, 96, 32))
    with torch.no_grad():
        wanted = network.double()(torch.from_numpy(images))[0].numpy()
    np.testing.assert_allclose(graph.run({"x": images})["cat"], wanted, rtol=1e-11, atol=1e-12)
