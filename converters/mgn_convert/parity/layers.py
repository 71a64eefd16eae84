"""Which layer is at fault: every mapped layer compared, from the start and in isolation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from mgn_convert.errors import ParityError
from mgn_convert.formats import Runner
from mgn_convert.graph.types import Array, Graph, Origin
from mgn_convert.parity.metrics import compare
from mgn_convert.parity.report import LayerRow

Progress = Callable[[str], None]


def compare_layers(
    reference: Mapping[str, Array],
    candidate: Runner,
    images: Array,
    tolerance: float,
    origin: Callable[[str], str],
    progress: Progress,
) -> tuple[LayerRow, ...]:
    """One row per tensor that both sides have, in the candidate's execution order.

    reference: every tensor of the reference on `images`. origin: tensor -> where it comes from, for people.
    A row fails on its isolated error; so the first failing row is the first layer at fault.
    Raises ParityError when the two have no tensor in common.
    """
    shared = [name for name in candidate.tensors if name in reference]
    if not shared:
        raise ParityError(
            "no layer was compared",
            because="the two networks share no tensor name",
            got=f"{', '.join(list(reference)[:3])} ... and {', '.join(candidate.tensors[:3])} ...",
            remedy="verify files that this tool wrote, with their manifests beside them",
        )
    chained = candidate.run(images, taps=shared)
    rows = []
    for name in shared:
        progress(name)
        along = compare(reference[name], chained[name])
        others = {k: v for k, v in reference.items() if k != name}
        alone = compare(reference[name], candidate.run_isolated(name, others))
        rows.append(
            LayerRow(
                name,
                candidate.describe(name),
                origin(name),
                along.error,
                alone.error,
                min(along.cosine, alone.cosine),
                alone.error <= tolerance,
                alone.problem or along.problem,
            )
        )
    return tuple(rows)


def origin_lookup(graph: Graph, tensors: Collection[str]) -> Callable[[str], str]:
    """Where the candidate's `tensors` come from in the reference's graph.

    A candidate's layer stands for every node between the tensors before it and its own, since it may have
    fused several; all of them are named.
    """
    order = {node.name: position for position, node in enumerate(graph)}

    def find(tensor: str) -> str:
        covered, waiting = set(), [tensor]
        while waiting:
            name = waiting.pop()
            if name in order and name not in covered and (name == tensor or name not in tensors):
                covered.add(name)
                waiting.extend(graph.node(name).inputs)
        origins = [graph.node(name).origin for name in sorted(covered, key=order.__getitem__)]
        return " + ".join(dict.fromkeys(str(o) for o in origins if o != Origin())) or tensor

    return find
