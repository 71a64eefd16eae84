"""The published MGN with recorded embeddings, at full size, through Caffe and Darknet."""

from pathlib import Path

import numpy as np
import torch
from seeded import normalised, seeded, seeded_images

import mgn_convert
from mgn_convert.parity.metrics import compare, is_exact
from mgn_reid.models.mgn import MGN

GOLDEN = Path(__file__).parents[1] / "golden" / "seed" / "mgn_seathiefwang_relu_max.npz"


def test_recorded_embeddings_survive_every_stage(tmp_path):
    with torch.device("meta"):
        network = MGN(pool="max", activation="relu")
    seeded(network)
    torch.save({k: v.float() if v.is_floating_point() else v for k, v in network.state_dict().items()},
               tmp_path / "mgn.pth")  # fmt: skip
    images = normalised(seeded_images(384, 128)).astype(np.float32)
    del network

    pytorch = dict(architecture="mgn", options={"pool": "max"})
    mgn_convert.convert(tmp_path / "mgn.pth", "caffe", tmp_path, verify=False, **pytorch)
    mgn_convert.convert(tmp_path / "mgn.prototxt", "darknet", tmp_path, verify=False)

    golden = np.load(GOLDEN)["raw"]
    found = {}
    for model in ("mgn.pth", "mgn.prototxt", "mgn.cfg"):
        with mgn_convert.open_runner(tmp_path / model, **(pytorch if model == "mgn.pth" else {})) as net:
            (embedding,) = net.run(images).values()
        found[model] = compare(golden, embedding)
    # float32 weights and pictures differ from the recorded run's float64, for PyTorch as for the others.
    own = found["mgn.pth"].error
    assert own < 1e-5
    for model in ("mgn.prototxt", "mgn.cfg"):
        assert is_exact(found[model].error, own), found
        assert found[model].cosine > 0.9999999
