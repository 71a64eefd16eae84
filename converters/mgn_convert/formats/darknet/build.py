"""Builds the engine: upstream Darknet from the machine's own package source, our patches, one shared library.

Nothing needs root. The library lands in the user's cache under a name made of everything that went into it,
so a changed patch, compiler or processor leads to a new build and an unchanged one is found again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.formats.darknet import apt
from mgn_convert.resources import resource

SOURCE_FOLDERS = ("src", "include")


def library() -> Path:
    """Path of libdarknet.so; built when there is none for the present patches, compiler and processor."""
    path = _cached_library()
    if not path.exists():
        with _lock():
            if not path.exists():  # another process may have built it meanwhile
                _build_into(path, None)
    return path


def build(source: Path | None = None) -> Path:
    """Builds libdarknet.so anew and returns its path in the cache.

    `source` is a checkout of upstream Darknet, copied and left as it is; without it the pinned source package
    is fetched once and kept in the cache. Raises MissingEngineError when a tool or the source is missing.
    """
    path = _cached_library()
    with _lock():
        _build_into(path, source)
    return path


def cache_folder() -> Path:
    """Where tarball and libraries stay: MGN_CONVERT_CACHE, else mgn-convert/ of the user's cache folder."""
    if own := os.environ.get("MGN_CONVERT_CACHE"):
        return Path(own) / "darknet"
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(shared) / "mgn-convert" / "darknet"


def apply_patches(tree: Path) -> None:
    """Applies the series to an unpacked upstream tree, exactly or not at all."""
    folder = patch_folder()
    for name in (folder / "series").read_text().split():
        command = [_tool("patch"), "-p1", "--fuzz=0", "--forward", "--batch", "-i", str(folder / name)]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
        if done.returncode or "offset" in done.stdout:
            raise MissingEngineError(
                f"patch {name} does not apply to this Darknet source",
                because="the series is made for the upstream commits in darknet_patch/upstream.toml",
                got=" / ".join(done.stdout.split("\n")[-4:]).strip(" /"),
                remedy="use a checkout of one of those commits",
            )


def patch_folder() -> Path:
    """The folder darknet_patch/, inside the installed package or at the root of the checkout."""
    return resource("darknet_patch")


def cached_library() -> Path | None:
    """The library, if it is built already; None when it is not, or when the compiler is missing."""
    try:
        path = _cached_library()
    except MissingEngineError:
        return None
    return path if path.exists() else None


@cache
def _pins() -> dict[str, Any]:
    import tomllib

    with (patch_folder() / "upstream.toml").open("rb") as file:
        return tomllib.load(file)


def _cached_library() -> Path:
    return cache_folder() / _key() / "libdarknet.so"


@cache
def _key() -> str:
    """Digest of patches, pins, our C files, compiler and what -march=native means on this processor."""
    digest = hashlib.sha256()
    folder = patch_folder()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".md"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    compiler = _compiler()
    for options in (["--version"], ["-march=native", "-Q", "--help=target"]):
        digest.update(subprocess.run([compiler, *options], capture_output=True, check=False).stdout)
    return digest.hexdigest()[:16]


def _build_into(target: Path, source: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="mgn-darknet-") as scratch:
        tree = Path(scratch) / "upstream"
        if source is None:
            _unpack(_orig_tarball(), tree)
        else:
            _copy_checkout(source, tree)
        apply_patches(tree)
        built = _compile(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_suffix(".new")
        shutil.copyfile(built, beside)
        beside.replace(target)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingEngineError(
            f"cannot build the Darknet engine: {name} is missing",
            remedy=f"install {name} (on Debian: apt-get install build-essential patch)",
        )
    return found


def _compiler() -> str:
    return _tool(os.environ.get("CC", "gcc"))


@contextmanager
def _lock() -> Iterator[None]:
    """One build at a time, among all processes that share the cache."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _orig_tarball() -> Path:
    """The upstream tarball of Debian's source package, from the cache or through apt; digest verified."""
    pins = _pins()["debian"]
    kept = cache_folder() / f"upstream-{pins['sha256'][:16]}.orig.tar.xz"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="mgn-apt-") as state:
            fetched = apt.fetch_source(pins["source_package"], pins["orig_pattern"], Path(state))
            shutil.copyfile(fetched, kept.with_suffix(".new"))
        kept.with_suffix(".new").replace(kept)
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    if found != pins["sha256"]:
        kept.unlink()
        raise FileFormatError(
            "the Darknet source package is not the pinned one",
            because=f"its sha256 must be {pins['sha256']}",
            got=found,
            remedy="mgn-convert darknet build --source DIR, with a checkout of a commit in upstream.toml",
        )
    return kept


def _unpack(tarball: Path, tree: Path) -> None:
    with tarfile.open(tarball) as archive:
        for member in archive:
            _, folder, *rest = [*Path(member.name).parts, "", ""]
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or folder not in SOURCE_FOLDERS or ".." in rest:
                continue
            path = tree.joinpath(folder, *rest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def _copy_checkout(source: Path, tree: Path) -> None:
    for folder in SOURCE_FOLDERS:
        if not (source / folder).is_dir():
            raise UsageError(f"{source} is no Darknet checkout", because=f"it has no folder {folder}/")
        shutil.copytree(source / folder, tree / folder)


def _compile(tree: Path) -> Path:
    # Everything below one folder and named relative to it: make cannot do with blanks in paths.
    shutil.copytree(patch_folder() / "src", tree.parent / "ours")
    command = [_tool("make"), "-j2", "-f", "ours/Makefile", f"UPSTREAM={tree.name}", "OUT=build"]
    command.append(f"CC={_compiler()}")
    done = subprocess.run(command, cwd=tree.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        first = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
        raise MissingEngineError("cannot compile the Darknet engine", got=first)
    return tree.parent / "build" / "libdarknet.so"
