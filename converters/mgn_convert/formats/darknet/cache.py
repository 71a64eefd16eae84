"""The folder of this user in which the upstream source and the built engines stay."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Where source and libraries stay: MGN_CONVERT_CACHE, else mgn-convert/ of the user's cache folder."""
    if own := os.environ.get("MGN_CONVERT_CACHE"):
        return Path(own) / "darknet"
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(shared) / "mgn-convert" / "darknet"


@contextmanager
def lock() -> Iterator[None]:
    """One build at a time, among all processes that share the cache."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def put(file: Path, target: Path) -> None:
    """Copies `file` to `target`; who has the old one loaded keeps it, and nobody sees half of the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{target.name}.new")
    shutil.copyfile(file, beside)
    beside.replace(target)
