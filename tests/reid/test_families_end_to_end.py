"""Every network of the family in every format, in their real engines."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import normalised, seeded, seeded_images

import mgn_convert
from mgn_convert.architecture import architecture
from mgn_convert.formats import Source
from mgn_convert.parity.metrics import compare, is_exact

GOLDEN = Path(__file__).parents[1] / "golden" / "seed"

FULL_SIZE = {
    "mgn_seathiefwang_relu_max": ("mgn", {"pool": "max", "activation": "relu"}),
    "mudeep_v2_384x128": ("mudeep", {"input_size": "384x128"}),
    "lagnet": ("lagnet", {}),
}
SMALL = {
    "mgn tied": (
        "mgn",
        {"tied": True, "pool": "avg", "activation": "prelu", "input_size": "96x64"},
        (96, 64),
    ),
    "mgn-attention": ("mgn-attention", {"input_size": "96x64"}, (96, 64)),
    "fastreid-mgn 0.1": ("fastreid-mgn", {"vintage": "0.1", "ibn": True}, (96, 64)),
    "fastreid-mgn 1.2": ("fastreid-mgn", {"vintage": "1.2", "ibn": True}, (112, 64)),
    "fastreid-bagtricks": ("fastreid-bagtricks", {"vintage": "1.2", "ibn": True, "se": True}, (96, 64)),
    "fastreid-sbs": ("fastreid-sbs", {"vintage": "0.1", "ibn": True}, (96, 64)),
}


def save_seeded(name: str, options: dict, path: Path) -> None:
    """A checkpoint of the network with its seeded weights, in float32."""
    known = architecture(name)
    defaults = {key: option.default for key, option in known.options.items()}
    with torch.device("meta"):
        network = known.build(**{**defaults, **options})
    state = seeded(network).state_dict()
    torch.save({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, path)


def convert_all(source: Source, folder: Path) -> list[Path | Source]:
    """PyTorch to Caffe to Darknet, PyTorch to ONNX, PyTorch to TensorFlow; what came out, and Darknet's files
    once more for its plain engine.
    """
    mgn_convert.convert(source, "caffe", folder, verify=False)
    mgn_convert.convert(folder / "net.prototxt", "darknet", folder, verify=False)
    mgn_convert.convert(source, "onnx", folder, verify=False)
    mgn_convert.convert(source, "tensorflow", folder, verify=False)
    files = [folder / f"net{suffix}" for suffix in (".prototxt", ".cfg", ".onnx", ".pb")]
    return [*files, Source(folder / "net.cfg", engine="darknet-plain")]


@pytest.mark.parametrize("golden", FULL_SIZE)
def test_recorded_embeddings_survive_every_stage_at_full_size(tmp_path, golden):
    name, options = FULL_SIZE[golden]
    save_seeded(name, options, tmp_path / "net.pth")
    source = Source(tmp_path / "net.pth", architecture=name, options=options)
    files = convert_all(source, tmp_path)
    images = normalised(seeded_images(384, 128)).astype(np.float32)
    recorded = np.load(GOLDEN / f"{golden}.npz")["raw"]
    found = []
    for model in (source, *files):
        with mgn_convert.open_runner(model) as net:
            (embedding,) = net.run(images).values()
        found.append(compare(recorded, embedding))
    own, *others = found
    # float32 weights and pictures differ from the recorded run's float64, for PyTorch as for the others.
    assert own.error < 1e-5
    for other in others:
        assert is_exact(other.error, own.error), found
        assert other.cosine > 0.9999999


@pytest.mark.parametrize("case", SMALL)
def test_every_format_is_exact_on_small_pictures(tmp_path, case):
    name, options, size = SMALL[case]
    save_seeded(name, options, tmp_path / "net.pth")
    texts = {key: str(value) for key, value in options.items()}
    source = Source(tmp_path / "net.pth", architecture=name, options=texts, input_shape=(3, *size))
    report = mgn_convert.verify(source, *convert_all(source, tmp_path), exact=True)
    rows = [(c.engine, row) for c in report.candidates for row in c.inputs if not row.exact]
    assert report.passed, rows
