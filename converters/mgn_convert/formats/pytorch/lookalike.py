"""Of which installed architecture are the keys of a checkpoint?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mgn_convert.architecture import Architecture, Shapes, architectures
from mgn_convert.formats.pytorch import checkpoint

_ENOUGH = 0.5
"""Share of keys, shapes alike, that a checkpoint and a network have in common if they belong together."""


def look_like(tensors: Mapping[str, Any], given: str | None = None) -> str:
    """ "these look like the keys of --arch NAME", or "" where no architecture fits better than `given`."""
    name = lookalike(tensors, given)
    return f"these look like the keys of --arch {name}" if name else ""


def lookalike(tensors: Mapping[str, Any], given: str | None = None) -> str:
    """The name of the architecture whose keys these are, "" where none fits, or none better than `given`.

    Each network is built without memory, as the keys tell its options; so this is for errors alone.
    """
    bare = checkpoint.without_prefixes(tensors)[-1]
    shapes = {k: tuple(v.shape) for k, v in bare.items() if not _counts(k)}
    scores = {known.name: _share(shapes, known) for known in architectures().values()}
    best = max(scores, key=lambda name: scores[name], default="")
    least = max(_ENOUGH, scores[given][0] + 1e-9 if given in scores else 0)
    return best if best and scores[best][0] >= least else ""


def _share(shapes: Shapes, known: Architecture) -> tuple[float, int]:
    """Keys in common over keys in either, and how many options are the defaults.

    (0, 0) where the keys tell options that no network can have.
    """
    defaults = {k: option.default for k, option in known.options.items()}
    try:
        told = known.infer(shapes)
        with torch.device("meta"):
            network = known.build(**{**defaults, **told}).state_dict()
    except Exception:
        return 0.0, 0
    wanted = {k: tuple(v.shape) for k, v in network.items() if not _counts(k)}
    used = {k for k in shapes if k in wanted or not k.startswith(tuple(known.ignored))}
    share = sum(wanted.get(k) == shapes[k] for k in used) / len(used | wanted.keys())
    return share, sum(told.get(k, default) == default for k, default in defaults.items())


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")
