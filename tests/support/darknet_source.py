"""Upstream Darknet for tests that build or patch it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mgn_convert.errors import MissingEngineError
from mgn_convert.formats.darknet.cache import lock
from mgn_convert.formats.darknet.upstream import orig_tarball, unpack


def unpacked(tree: Path) -> Path:
    """The pinned upstream source, without patches, in `tree`; skips where neither cache nor apt has it."""
    try:
        with lock():
            tarball = orig_tarball()
    except MissingEngineError as error:
        pytest.skip(str(error))
    unpack(tarball, tree)
    return tree
