"""A .pt2 file carries its network with it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_networks import small_mgn

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.pytorch import FORMAT, network

SHAPE = (3, 48, 16)


def save(path, batch, dynamic=False):
    shapes = ({0: torch.export.Dim("n", min=1, max=64)},) if dynamic else None
    program = torch.export.export(small_mgn(), (torch.zeros(batch, *SHAPE),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return Source(path, output="0")


@pytest.mark.parametrize(("batch", "dynamic"), [(1, False), (2, False), (4, True)])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_any_batch(tmp_path, batch, dynamic):
    source = save(tmp_path / "m.pt2", batch, dynamic)
    graph = FORMAT.read(source)
    images = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        wanted = small_mgn()(torch.from_numpy(images))[0].numpy()
    assert graph.inputs[0].shape == (1, *SHAPE)
    for count in (1, 3):
        got = graph.run({"x": images[:count]})["cat"]
        np.testing.assert_allclose(got, wanted[:count], rtol=1e-4, atol=1e-5)
    with FORMAT.open_runner(source) as runner:
        tapped = runner.run(images, taps=["stem.2"])
    np.testing.assert_allclose(tapped["cat"], wanted, rtol=1e-4, atol=1e-5)
    assert tapped["stem.2"].shape == (3, 10, 24, 8)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_fresh_process_needs_no_model_code(tmp_path):
    source = save(tmp_path / "m.pt2", 2)
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from mgn_convert.formats import Source\n"
        "from mgn_convert.formats.pytorch import FORMAT\n"
        "graph = FORMAT.read(Source(Path(sys.argv[1]), output='0'))\n"
        "assert 'small_networks' not in sys.modules\n"
        "print(json.dumps([[n.name, n.op, n.origin.source] for n in graph]))\n"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", code, str(source.path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=tmp_path)
    here = FORMAT.read(Source(None, factory="small_networks:small_mgn", input_shape=SHAPE, output="0"))
    assert json.loads(done.stdout) == [[n.name, n.op, n.origin.source] for n in here]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_another_input_shape_is_refused(tmp_path):
    source = Source(save(tmp_path / "m.pt2", 2).path, input_shape=(3, 96, 32))
    with pytest.raises(UsageError, match="was exported for another input"):
        FORMAT.read(source)


def test_a_file_that_is_no_program(tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(b"PK nothing")
    with pytest.raises(FileFormatError, match="is not a program that this PyTorch can load"):
        network.load(Source(path))
    with pytest.raises(FileFormatError, match="is not a file"):
        network.load(Source(tmp_path / "none.pt2"))
