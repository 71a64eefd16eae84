"""Upstream Darknet: its source from the machine's own packages or a checkout, and our patches on it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.formats.darknet import apt
from mgn_convert.formats.darknet.cache import cache_folder, put
from mgn_convert.resources import resource

SOURCE_FOLDERS = ("src", "include")


def patch_folder() -> Path:
    """The folder darknet_patch/, inside the installed package or at the root of the checkout."""
    return resource("darknet_patch")


def patched_source(tree: Path, source: Path | None = None) -> None:
    """Makes `tree` with src/ and include/ of patched upstream.

    `source` is a checkout, copied and left as it is; without it the pinned source package is fetched once and
    kept in the cache: the caller holds its lock. Raises MissingEngineError when a tool or the source is
    missing.
    """
    if source is None:
        unpack(orig_tarball(), tree)
    else:
        _copy_checkout(source, tree)
    apply_patches(tree)


def apply_patches(tree: Path) -> None:
    """Applies the series to an unpacked upstream tree, exactly or not at all."""
    folder = patch_folder()
    for name in (folder / "series").read_text().split():
        command = [tool("patch"), "-p1", "--fuzz=0", "--forward", "--batch", "-i", str(folder / name)]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
        if done.returncode or "offset" in done.stdout:
            raise MissingEngineError(
                f"patch {name} does not apply to this Darknet source",
                because="the series is made for the upstream commits in darknet_patch/upstream.toml",
                got=" / ".join(done.stdout.split("\n")[-4:]).strip(" /"),
                remedy="use a checkout of one of those commits",
            )


def orig_tarball() -> Path:
    """The upstream tarball of Debian's source package, from the cache or through apt; digest verified."""
    pins = _pins()["debian"]
    kept = cache_folder() / f"upstream-{pins['sha256'][:16]}.orig.tar.xz"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="mgn-apt-") as state:
            put(apt.fetch_source(pins["source_package"], pins["orig_pattern"], Path(state)), kept)
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


def unpack(tarball: Path, tree: Path) -> None:
    """Writes src/ and include/ of the tarball into `tree`, links and paths that lead elsewhere left out."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            _, folder, *rest = [*Path(member.name).parts, "", ""]
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or folder not in SOURCE_FOLDERS or ".." in rest:
                continue
            path = tree.joinpath(folder, *rest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def tool(name: str) -> str:
    """Path of a program; MissingEngineError when this machine lacks it."""
    found = shutil.which(name)
    if found is None:
        raise MissingEngineError(
            f"cannot build the Darknet engine: {name} is missing",
            remedy=f"install {name} (on Debian: apt-get install build-essential patch)",
        )
    return found


@cache
def _pins() -> dict[str, Any]:
    import tomllib

    with (patch_folder() / "upstream.toml").open("rb") as file:
        return tomllib.load(file)


def _copy_checkout(source: Path, tree: Path) -> None:
    for folder in SOURCE_FOLDERS:
        if not (source / folder).is_dir():
            raise UsageError(f"{source} is no Darknet checkout", because=f"it has no folder {folder}/")
        shutil.copytree(source / folder, tree / folder)
