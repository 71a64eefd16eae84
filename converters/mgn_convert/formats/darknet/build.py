"""Builds the engine: upstream Darknet, our patches, a library for convolutions, in one folder.

Nothing needs root. The folder lies in the user's cache under a name made of everything that went into it, so
a changed patch, compiler, processor or choice of convolutions leads to a new build and an unchanged one is
found again. It holds libdarknet.so and, beside it, the library that convolves; it can be copied as a whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from mgn_convert.errors import MgnConvertError, MissingEngineError
from mgn_convert.formats.darknet.cache import cache_folder, lock, put
from mgn_convert.formats.darknet.convolutions import Convolutions, choose
from mgn_convert.formats.darknet.upstream import patch_folder, patched_source, tool

NAME = "libdarknet.so"


def library(convolutions: str | None = None) -> Path:
    """Path of libdarknet.so; built when there is none for the present patches, compiler and processor.

    `convolutions` is a word for convolutions.choose().
    """
    chosen = choose(convolutions)
    path = _place(chosen)
    if not path.exists():
        with lock():
            if not path.exists():  # another process may have built it meanwhile
                _build_into(path.parent, None, chosen)
    return path


def build(source: Path | None = None, convolutions: str | None = None) -> Path:
    """Builds libdarknet.so anew and returns its path in the cache.

    `source` is a checkout of upstream Darknet, copied and left as it is; without it the pinned source package
    is fetched once and kept in the cache. `convolutions` is a word for convolutions.choose(). Raises
    MissingEngineError when a tool, a library or the source is missing.
    """
    chosen = choose(convolutions)
    path = _place(chosen)
    with lock():
        _build_into(path.parent, source, chosen)
    return path


def cached_library() -> Path | None:
    """The library, if it is built already; None when it is not, or cannot be."""
    try:
        path = _place(choose())
    except MgnConvertError:
        return None
    return path if path.exists() else None


def _place(chosen: Convolutions) -> Path:
    return cache_folder() / _key(chosen.label) / NAME


@cache
def _key(label: str) -> str:
    """Digest of patches, pins, our C files, convolutions, compiler and what -march=native means here."""
    digest = hashlib.sha256(f"{label}\n".encode())
    folder = patch_folder()
    files = [*folder.iterdir(), *(folder / "src").rglob("*")]
    for path in sorted(p for p in files if p.is_file() and p.suffix != ".md"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    compiler = _compiler()
    for options in (["--version"], ["-march=native", "-Q", "--help=target"]):
        digest.update(subprocess.run([compiler, *options], capture_output=True, check=False).stdout)
    return digest.hexdigest()[:16]


def _build_into(folder: Path, source: Path | None, chosen: Convolutions) -> None:
    # Everything below one folder and named relative to it: make cannot do with blanks in paths.
    with tempfile.TemporaryDirectory(prefix="mgn-darknet-") as scratch:
        root = Path(scratch)
        patched_source(root / "upstream", source)
        shutil.copytree(patch_folder() / "src", root / "ours")
        chosen.make_prefix(root / chosen.name)
        _make(root, chosen)
        # libdarknet.so comes last: where it is, the others are.
        for made in sorted((root / "build").glob("*.so*"), key=lambda path: path.name == NAME):
            put(made, folder / made.name)


def _make(root: Path, chosen: Convolutions) -> None:
    command = [
        tool("make"),
        "-j2",
        "-f",
        "ours/Makefile",
        "UPSTREAM=upstream",
        "OUT=build",
        f"CC={_compiler()}",
    ]
    # Variables of the same names in the environment are not meant for this.
    given = {"ONEDNN": "", "OPENBLAS": "", "GPU": "", "SANITIZE": ""}
    if chosen.links:
        given[chosen.name.upper()] = chosen.name
    command += [f"{name}={value}" for name, value in given.items()]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        first = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
        raise MissingEngineError("cannot compile the Darknet engine", got=first)


def _compiler() -> str:
    return tool(os.environ.get("CC", "gcc"))
