"""Files that travel with the distribution but are not Python: schemas/ and darknet_patch/."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(relative: str) -> Path:
    """The path of a shipped file or folder: inside the installed package, or at the top of a checkout."""
    for root in (_PACKAGE / "_data", _PACKAGE.parents[1]):
        if (root / relative).exists():
            return root / relative
    raise FileNotFoundError(f"{relative} did not travel with mgn_convert")
