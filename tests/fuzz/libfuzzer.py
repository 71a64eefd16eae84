"""Fetches libFuzzer, one static library, from the machine's own package source, as an ordinary user."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from mgn_convert.errors import MissingEngineError
from mgn_convert.formats.darknet.cache import cache_folder, put

# Debian 11, 12 and 13; Ubuntu 22.04 and 24.04. Any of them fits any gcc.
VERSIONS = (14, 19, 18, 11)
AS_USER = ("-o", "APT::Sandbox::User=root")  # as root: do not hand the private folder to another user


def library() -> Path:
    """libFuzzer.a in the user's cache, fetched on first use. Raises MissingEngineError without one."""
    kept = cache_folder() / "libFuzzer.a"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="mgn-fuzzer-") as folder:
            put(_fetch(Path(folder)), kept)
    return kept


def _fetch(folder: Path) -> Path:
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        raise _unavailable(f"this machine has no {missing[0]}")
    words = ""
    for options in ((), _private_lists(folder)):
        if options:
            _run(["apt-get", "-q", *options, "update"], folder)
        for version in VERSIONS:
            package = f"libfuzzer-{version}-dev"
            words = _run(["apt-get", "-q", *AS_USER, *options, "download", package], folder) or words
            for archive in folder.glob("*.deb"):
                _run(["dpkg-deb", "-x", str(archive), "."], folder)
            if found := list(folder.rglob("libFuzzer.a")):
                return found[0]
    raise _unavailable(words)


def _private_lists(folder: Path) -> tuple[str, ...]:
    """For a machine whose lists of packages are empty, as in an image of a container."""
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    return (*AS_USER, "-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}")


def _run(command: list[str], folder: Path) -> str:
    """The last line of what it complains about; empty when all went well."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines() if done.returncode else []
    return lines[-1] if lines else ""


def _unavailable(got: str) -> MissingEngineError:
    return MissingEngineError(
        "cannot fetch libFuzzer",
        because=f"no package libfuzzer-N-dev of the versions {', '.join(map(str, VERSIONS))} could be had",
        got=got,
        remedy="--libfuzzer PATH, the libFuzzer.a of a clang",
    )
