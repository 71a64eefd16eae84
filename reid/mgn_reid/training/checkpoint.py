"""Checkpoints: the whole state of a training in one file, from which it goes on to the same numbers.

    {"state_dict": ..., "architecture": {"name", "options", "preprocessing"}, "criteria": ...,
     "optimiser": ..., "schedule": ..., "scaler": ..., "epoch": ..., "batches": ..., "iteration": ...,
     "config": ..., "random": ..., "identities": ..., "scores": ..., "best": ...}

`mgn-convert` takes the weights by `state_dict` and the network by `architecture`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.files import staged
from mgn_reid.training.sections import Config

LAST, BEST, CONFIG = "last.pth", "best.pth", "config.yaml"

KEYS = frozenset(
    {
        *("state_dict", "architecture", "criteria", "optimiser", "schedule", "scaler", "epoch", "batches"),
        *("iteration", "config", "random", "identities", "scores", "best"),
    }
)

FREE = (
    "data.folder",
    "data.kind",
    "data.workers",
    "device",
    "epochs",
    "evaluation",
    "iterations",
    "keep_every",
    "log_every",
)
"""Settings, or whole sections, that a resumed training may have otherwise than before."""


@dataclass
class Progress:
    """How far a training is: finished epochs, finished batches of the epoch after them, and iterations."""

    epoch: int = 0
    batches: int = 0
    iteration: int = 0


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all; the one before stays until then.

    Raises UsageError when it cannot be written.
    """
    try:
        with staged(path.parent) as (scratch, publish):
            with (scratch / path.name).open("wb") as file:
                torch.save(dict(content), file)
            publish()
    except (UsageError, OSError, RuntimeError) as error:
        raise UsageError(
            f"cannot save {path}",
            because=_reason(error),
            got=f"the checkpoint before it is whole: {path}" if path.is_file() else "",
            remedy="make room, then the same command with --resume",
        ) from error


def load(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Raises FileFormatError for any other file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises many kinds for a damaged file
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise FileFormatError(f"{path} is not a checkpoint", because=lines[0]) from None
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        lacking = sorted(KEYS - content.keys()) if isinstance(content, dict) else ["everything"]
        raise FileFormatError(
            f"{path} is not a checkpoint that a training can go on from",
            because=f"it lacks {', '.join(lacking)}",
            remedy="start.weights=PATH starts a new training from its weights",
        )
    return content


def check_config(saved: Mapping[str, Any], config: Config) -> None:
    """Raises UsageError, naming the keys, when a training cannot go on because its settings changed."""
    before, now = _flat(saved), _flat(config.model_dump(mode="json"))
    changed = [
        f"{key}: {before.get(key)!r} became {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not any(f"{key}.".startswith(f"{free}.") for free in FREE)
    ]
    if changed:
        raise UsageError(
            "cannot resume with another configuration",
            because="the training would not go on to the same numbers",
            got="; ".join(changed),
            remedy="the configuration before, or another --out",
        )


def check_identities(saved: list[int], found: list[int]) -> None:
    """Raises UsageError when the people of the data set are not those of the checkpoint."""
    if saved == found:
        return
    missing, more = sorted(set(saved) - set(found)), sorted(set(found) - set(saved))
    raise UsageError(
        f"cannot resume: the checkpoint has {len(saved)} classes, the data set {len(found)} people",
        because="each class is one person",
        got="; ".join(
            f"{what}: {', '.join(map(str, people[:5]))}{' ...' if len(people) > 5 else ''}"
            for what, people in (("not in the data set", missing), ("not in the checkpoint", more))
            if people
        ),
        remedy="the data set of the checkpoint; start.weights=PATH starts a new training from its weights",
    )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Values by their paths, such as losses.1.margin; lists and mappings without content are values."""
    if isinstance(content, (dict, list)) and content:
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return {k: v for key, value in items for k, v in _flat(value, f"{prefix}{key}.").items()}
    return {prefix[:-1]: content}


def _reason(error: BaseException) -> str:
    """What the system said, which PyTorch's own error hides."""
    while error.__context__ is not None and not (isinstance(error, OSError) and error.strerror):
        error = error.__context__
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
