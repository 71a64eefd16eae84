"""Choices that rounding can turn over: which channels are kept, and where a maximum is put back.

A network with a `top_channels` or `max_unpool` node is not continuous. Where two candidates for a choice
nearly tie, two engines may choose differently, and everything behind differs by far more than rounding; no
layer is at fault then. How near the tie was shows in float64: the *regret* of a choice is how much worse it
is than the best, relative to the largest magnitude of what it was chosen from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mgn_convert.graph.ops.conv import windows
from mgn_convert.graph.types import Array, Graph, Node
from mgn_convert.parity.metrics import compare


@dataclass(frozen=True)
class Flip:
    """One choice that reference and candidate make differently.

    margin: the greater regret of the two. error: of what the candidate chooses from, against float64.
    """

    node: str
    margin: float
    error: float


def chosen_from(graph: Graph) -> tuple[str, ...]:
    """The values that choices are made from, to be tapped; none where a network chooses nothing."""
    return tuple(dict.fromkeys(node.inputs[1] for node in graph if node.op in _CHOICES))


def flips(
    graph: Graph, oracle: Mapping[str, Array], reference: Mapping[str, Array], candidate: Mapping[str, Array]
) -> list[Flip]:
    """The choices that differ between reference and candidate, in execution order.

    Each mapping holds the values of `chosen_from`, by name; a choice whose value one of them lacks is passed
    over.
    """
    found = []
    for node in graph:
        if node.op not in _CHOICES or any(node.inputs[1] not in m for m in (oracle, reference, candidate)):
            continue
        choose = _CHOICES[node.op]
        truth, *others = (m[node.inputs[1]].astype(np.float64) for m in (oracle, reference, candidate))
        left, right = (choose(node, other.reshape(truth.shape), truth) for other in others)
        if (left[0] != right[0]).any():
            error = compare(truth, candidate[node.inputs[1]]).error
            found.append(Flip(node.name, max(left[1], right[1]), error))
    return found


def _top_channels(node: Node, scores: Array, truth: Array) -> tuple[Array, float]:
    """The channels chosen by `scores` (N, C), in rising order, and the regret of the choice."""
    k = node.attrs["k"]
    channels = np.sort(np.argsort(-scores, axis=1, kind="stable")[:, :k], axis=1)
    lowest_of_best = np.sort(truth, axis=1)[:, -k]
    regret = lowest_of_best - np.take_along_axis(truth, channels, axis=1).min(axis=1)
    return channels, _relative(regret, truth)


def _max_unpool(node: Node, source: Array, truth: Array) -> tuple[Array, float]:
    """The place of the first maximum in every window of `source`, and the greatest regret."""
    kernel, stride = node.attrs["kernel"], node.attrs["stride"]
    places, values = (windows(x, kernel, stride) for x in (source, truth))
    flat = values.reshape(*values.shape[:4], -1)
    best = places.reshape(flat.shape).argmax(axis=-1)
    regret = flat.max(axis=-1) - np.take_along_axis(flat, best[..., None], axis=-1)[..., 0]
    return best, _relative(regret, truth)


def _relative(regret: Array, truth: Array) -> float:
    return float(regret.max() / max(float(np.abs(truth).max()), np.finfo(np.float64).tiny))


_CHOICES = {"top_channels": _top_channels, "max_unpool": _max_unpool}
