"""Checkpoint files: which tensors they hold, without running their code and without copying."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mgn_convert.errors import FileFormatError, UnsupportedError

Tensors = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")


def load(path: Path, *, trust_pickle: bool = False) -> Tensors | nn.Module:
    """The state_dict in a file, memory-mapped where the file's kind allows; or a pickled network.

    Half precision becomes float32. Raises FileFormatError when it is no checkpoint, and when it needs code to
    run but trust_pickle is not set; UnsupportedError for TorchScript.
    """
    _check_file(path)
    if path.suffix == ".safetensors":
        return _single(_load_safetensors(path))
    content = _load_pickle(path, trust_pickle)
    if isinstance(content, nn.Module):
        return content
    found = _find_tensors(content)
    if isinstance(found, nn.Module):
        return found
    if found is None:
        held = ", ".join(str(k) for k in content) if isinstance(content, Mapping) else type(content).__name__
        raise FileFormatError(
            f"{path} holds no weights", because="a checkpoint is a state_dict, bare or wrapped", got=held
        )
    return _single(found)


def without_prefixes(tensors: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checkpoint as it is, and with each prefix that all keys share (`module.`, `model.`) taken off."""
    found = [dict(tensors)]
    while True:
        keys = found[-1]
        prefix = next((p for p in _PREFIXES if keys and all(k.startswith(p) for k in keys)), None)
        if prefix is None:
            return found
        found.append({k.removeprefix(prefix): v for k, v in keys.items()})


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise FileFormatError(f"{path} is a folder", because="a checkpoint is one file")
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist")
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise FileFormatError(f"{path} is empty")
    if path.suffix == ".safetensors":
        return
    if start.startswith(b"PK"):
        _check_zip(path)
    elif start[:1] != b"\x80" and start[257:262] != b"ustar":
        raise FileFormatError(
            f"{path} is not a PyTorch checkpoint",
            because="it is neither a zip archive nor a pickle",
            got=f"a file that starts with {start[:16]!r}",
            remedy="the file itself; a page saved from the web or a Git LFS pointer looks like this",
        )


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise FileFormatError(
            f"{path} is damaged",
            because="the directory at the end of the archive is missing",
            got=f"{path.stat().st_size} bytes",
            remedy="copy or download it again",
        ) from None
    if any("/code/" in name for name in names):
        raise UnsupportedError(
            f"{path} is a TorchScript network",
            because="torch.export needs the network's Python code",
            remedy="its state_dict with --arch or --factory, or a .pt2 from torch.export.save",
        )


def _load_safetensors(path: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise FileFormatError(f"{path} is not a safetensors file", because=str(error)) from None


def _load_pickle(path: Path, trust: bool) -> Any:
    mapped = zipfile.is_zipfile(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if "Weights only load failed" not in str(error) or (named and named.group(1).endswith(".")):
            raise _damaged(path, error) from None
        if not trust:
            raise FileFormatError(
                f"{path} wants to run code while it loads",
                because="it pickles Python objects beside the weights",
                got=named.group(1) if named else "",
                remedy="--trust-pickle if you trust who made it, or save its state_dict() alone",
            ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from None
    return _run_pickle(path, mapped)


def _run_pickle(path: Path, mapped: bool) -> Any:
    """Load a pickle that the user trusts. Whatever its code raises becomes one message."""
    try:
        with path.open("rb") as file:
            first = None if mapped else pickle.load(file)
        if first is not None and not isinstance(first, int):
            return first  # no file of torch.save, which starts with a magic number
        return torch.load(path, map_location="cpu", weights_only=False, mmap=mapped)
    except Exception as error:
        raise FileFormatError(
            f"{path} cannot be unpickled",
            because=f"{type(error).__name__}: {error}",
            remedy="the folder of the network's code on PYTHONPATH",
        ) from error


def _damaged(path: Path, error: Exception) -> FileFormatError:
    text = str(error).strip().splitlines()
    return FileFormatError(
        f"{path} is damaged",
        because=text[0] if text else type(error).__name__,
        remedy="copy or download it again",
    )


def _find_tensors(content: Any) -> Tensors | nn.Module | None:
    """The first mapping from names to tensors, looking into the usual wrappers first."""
    if isinstance(content, nn.Module):
        return content
    if not isinstance(content, Mapping):
        return None
    tensors = {k: _tensor(v) for k, v in content.items() if isinstance(k, str) and _is_array(v)}
    if tensors:
        return tensors
    named = [content[k] for k in _WRAPPERS if k in content]
    for inner in (*named, *content.values()):
        found = _find_tensors(inner)
        if found is not None:
            return found
    return None


def _is_array(x: Any) -> bool:
    return isinstance(x, Tensor) or (isinstance(x, np.ndarray) and x.dtype.kind in "fiu")


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else torch.from_numpy(x)


def _single(tensors: Tensors) -> Tensors:
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
