"""checkpoint.py: what loads, and the one message for each thing that does not."""

import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mgn_convert.errors import FileFormatError, UnsupportedError
from mgn_convert.formats.pytorch.checkpoint import load, without_prefixes

STATE = {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "conv.bias": torch.ones(2)}


class Custom:
    pass


def message_of(path, kind=FileFormatError, **options):
    with pytest.raises(kind) as caught:
        load(path, **options)
    return str(caught.value).replace(str(path), "FILE")


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OrderedDict(STATE),
        {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
        {"epoch": 3, "model": STATE},
        {"net": STATE, "best": 0.9},
        {"anything": {"state_dict": STATE}},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_bare_and_wrapped(tmp_path, content, zipped):
    path = tmp_path / "m.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = load(path)
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in STATE.items()}


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "m.safetensors")
    assert torch.equal(load(tmp_path / "m.safetensors")["conv.weight"], STATE["conv.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    torch.save({"w": torch.ones(3, dtype=dtype), "n": torch.tensor(7)}, tmp_path / "m.pt")
    found = load(tmp_path / "m.pt")
    assert (found["w"].dtype, found["n"].dtype) == (torch.float32, torch.int64)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_are_mapped_and_not_copied(tmp_path):
    torch.save(STATE, tmp_path / "m.pth")
    found = load(tmp_path / "m.pth")
    address = found["conv.weight"].data_ptr()
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if line.endswith(str(tmp_path / "m.pth"))]
    assert any(int(start, 16) <= address < int(end, 16) for start, end in spans)


def test_prefixes_come_off_one_by_one():
    names = [list(found) for found in without_prefixes({"module.model.a": 1, "module.model.b": 2})]
    assert names == [["module.model.a", "module.model.b"], ["model.a", "model.b"], ["a", "b"]]
    assert len(without_prefixes({"module.a": 1, "b": 2})) == 1


def test_a_pickle_with_code_needs_trust(tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"model": nn.Conv2d(3, 2, 2)}, path)
    assert message_of(path) == (
        "FILE wants to run code while it loads\n"
        "  because  it pickles Python objects beside the weights\n"
        "  got      torch.nn.modules.conv.Conv2d\n"
        "  try      --trust-pickle if you trust who made it, or save its state_dict() alone"
    )
    assert isinstance(load(path, trust_pickle=True), nn.Conv2d)


def test_a_pickle_whose_code_is_missing(tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"weights": STATE, "extra": Custom()}, path)
    text = path.read_bytes().replace(b"test_checkpoint", b"test_cheekpoint")
    path.write_bytes(text)
    assert message_of(path, trust_pickle=True).startswith("FILE cannot be unpickled\n  because ")


def test_a_text_file(tmp_path):
    path = tmp_path / "m.pth"
    path.write_text("<!DOCTYPE html><html>")
    assert message_of(path) == (
        "FILE is not a PyTorch checkpoint\n"
        "  because  it is neither a zip archive nor a pickle\n"
        "  got      a file that starts with b'<!DOCTYPE html><'\n"
        "  try      the file itself; a page saved from the web or a Git LFS pointer looks like this"
    )


@pytest.mark.parametrize("name", ["m.pth", "m.safetensors"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    assert message_of(tmp_path / name) == "FILE is empty"


def test_a_folder_and_a_missing_file(tmp_path):
    assert message_of(tmp_path) == "FILE is a folder\n  because  a checkpoint is one file"
    assert message_of(tmp_path / "none.pth") == "FILE does not exist"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_file(tmp_path, zipped, kept):
    path = tmp_path / "m.pth"
    torch.save(STATE, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert message_of(path).startswith("FILE is damaged\n  because ")


def test_a_zip_of_something_else(tmp_path):
    path = tmp_path / "m.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert message_of(path).startswith("FILE is damaged")


def test_a_truncated_safetensors(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-8])
    assert message_of(path).startswith("FILE is not a safetensors file\n  because ")


@pytest.mark.parametrize(("content", "got"), [([1, 2], "list"), ({"epoch": 3, "lr": 0.1}, "epoch, lr")])
def test_no_weights(tmp_path, content, got):
    torch.save(content, tmp_path / "m.pth")
    assert message_of(tmp_path / "m.pth").endswith(
        f"because  a checkpoint is a state_dict, bare or wrapped\n  got      {got}"
    )


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_of_arrays(tmp_path):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"model": {k: v.numpy() for k, v in STATE.items()}, "author": "somebody"}))
    assert message_of(path).startswith("FILE wants to run code while it loads")
    assert torch.equal(load(path, trust_pickle=True)["conv.weight"], STATE["conv.weight"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript(tmp_path):
    path = tmp_path / "m.pt"
    torch.jit.save(torch.jit.trace(nn.ReLU(), torch.zeros(1)), path)
    assert message_of(path, UnsupportedError) == (
        "FILE is a TorchScript network\n"
        "  because  torch.export needs the network's Python code\n"
        "  try      its state_dict with --arch or --factory, or a .pt2 from torch.export.save"
    )
