"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mgn_convert.errors import UsageError


@contextmanager
def staged(folder: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A scratch folder inside `folder`, and a function that moves its files and folders into `folder`.

    Nothing is left behind unless the function was called, whatever happens in between (Ctrl-C included); a
    `folder` made here goes again when it stays empty. Raises UsageError when nothing can be written.
    """
    missing = [p for p in [folder, *folder.parents] if not p.exists()]
    scratch = None
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".mgn-convert-", dir=folder))
            yield scratch, lambda: _publish(scratch, folder)
        except OSError as error:
            if (
                scratch is not None
                and error.filename is not None
                and scratch not in Path(error.filename).parents
            ):
                raise
            reason = error.strerror or str(error)
            raise UsageError(f"cannot write into {folder}", because=reason, remedy="another -o") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        for made in missing:
            if made.is_dir() and not any(made.iterdir()):
                made.rmdir()


def _publish(scratch: Path, folder: Path) -> None:
    made = sorted(scratch.iterdir())
    for path in scratch.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in made:
        target = folder / path.name
        if target.is_dir():  # a folder cannot be replaced in one step: the old one steps aside
            target.rename(scratch / f"{path.name}.before")
        path.replace(target)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all. Raises UsageError when its folder cannot be written."""
    with staged(path.parent) as (scratch, publish):
        (scratch / path.name).write_text(text, encoding="utf8")
        publish()
