"""Run a reference and its candidates on the same inputs and compare their outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mgn_convert.embed import embedder_of, preprocessing_of
from mgn_convert.errors import ParityError, UsageError
from mgn_convert.formats import Runner, Source, format_of
from mgn_convert.graph.types import Array, Graph
from mgn_convert.manifest import find_manifest
from mgn_convert.packaging import Processing
from mgn_convert.parity.inputs import input_batches, picture_batches
from mgn_convert.parity.layers import Progress, compare_layers, origin_lookup
from mgn_convert.parity.metrics import changed_neighbours, compare
from mgn_convert.parity.report import CandidateReport, InputRow, LayerRow, Report
from mgn_convert.parity.selection import chosen_from, flips
from mgn_convert.preprocess import Preprocessing

if TYPE_CHECKING:
    from mgn_convert.parity.retrieval_check import RetrievalCheck, RetrievalReport


@dataclass(frozen=True)
class Stage:
    """One network of a verification. `label` is how the report calls it."""

    source: Source
    runner: Runner
    label: str


def verify_sources(
    reference: Source,
    candidates: Sequence[Source],
    *,
    tolerance: float = 1e-4,
    images: Path | None = None,
    layers: bool = False,
    exact: bool = False,
    seed: int = 0,
    labels: Mapping[Path, str] | None = None,
    retrieval: RetrievalCheck | None = None,
    progress: Progress = lambda text: None,
) -> Report:
    """Compare every candidate with the reference, both in their real engines, and both with the float64 run.

    exact: also demand an error against float64 of at most twice the reference engine's own, plus 1e-6.
    layers: also compare every mapped layer. labels: what to call files that are not in their place yet.
    retrieval: also compare who is found; a margin between two pictures below `tolerance` is noise.
    Raises UsageError for networks of different input shape, MissingEngineError without an engine.
    """
    if not candidates:
        raise UsageError("nothing to compare the reference with", remedy="name one candidate or more")
    with ExitStack() as stack:
        stages = []
        for source in (reference, *candidates):
            progress(f"loading {source}")
            runner = stack.enter_context(_open(source))
            label = (labels or {}).get(source.path or Path(), str(source))
            stages.append(Stage(source, runner, label))
        _check_shapes(stages)
        first, *others = stages
        graph = _read(reference)
        shape = first.runner.input_shape
        preprocessing = preprocessing_of([reference, *candidates], shape)
        measured: dict[Processing | None, _Reference] = {}
        for inside in dict.fromkeys(stage.runner.processing for stage in others):
            raw = inside is not None and inside.preprocessing is not None
            own = input_batches(shape, seed, images, preprocessing)
            batches = dict(picture_batches(shape, seed, images) if raw else own)
            measured[inside] = _Reference(first, graph, batches, inside, progress)
        reports = [
            _judge(measured[stage.runner.processing], stage, tolerance, layers, progress) for stage in others
        ]
        found = _who_is_found(retrieval, stages, preprocessing, tolerance, progress) if retrieval else None
        return Report(first.label, first.runner.engine, tolerance, tuple(reports), exact, found)


def _who_is_found(
    check: RetrievalCheck,
    stages: Sequence[Stage],
    preprocessing: Preprocessing | None,
    noise: float,
    progress: Progress,
) -> RetrievalReport:
    from mgn_convert.parity.retrieval_check import check_retrieval

    embedders = []
    for stage in stages:
        made = embedder_of(stage.source, stage.runner, preprocessing)
        preprocessing = preprocessing or made.preprocessing
        embedders.append(replace(made, name=stage.label))
    return check_retrieval(check, embedders, noise, progress)


class _Reference:
    """The reference's outputs on every batch, in its engine and in float64.

    inside: what the candidates have inside beside the network; here it is done outside.
    """

    def __init__(
        self,
        stage: Stage,
        graph: Graph,
        batches: Mapping[str, Array],
        inside: Processing | None,
        progress: Callable[[str], None],
    ) -> None:
        self.stage, self.graph, self.batches, self.inside = stage, graph, batches, inside
        self.choices = chosen_from(graph)
        self.outputs: dict[str, dict[str, Array]] = {}
        self.oracle: dict[str, dict[str, Array]] = {}
        for name, batch in batches.items():
            progress(f"{stage.runner.engine}: {name}")
            self.outputs[name] = self._after(stage.runner.run(self.fed(batch), self.taps(stage)))
            progress(f"float64: {name}")
            wide = self.fed(batch, np.float64)
            self.oracle[name] = self._after(graph.run({graph.inputs[0].name: wide}, taps=self.choices))

    def fed(self, batch: Array, dtype: type[np.floating[Any]] = np.float32) -> Array:
        """What the network itself takes for a batch of the candidates' inputs."""
        return batch if self.inside is None else self.inside.before(batch, dtype)

    def _after(self, found: dict[str, Array]) -> dict[str, Array]:
        """The values of one run, the outputs as the candidates give them."""
        if self.inside is None:
            return found
        return {k: self.inside.after(v) if k in self.stage.runner.outputs else v for k, v in found.items()}

    def taps(self, stage: Stage) -> list[str]:
        """What to tap in a stage to see the choices that it makes."""
        return [name for name in self.choices if name in stage.runner.tensors]

    def margin(self, name: str, candidate: Mapping[str, Array], tolerance: float) -> float | None:
        """The margin of the first choice that the candidate makes differently, if rounding accounts for it.

        What it chose from must itself be within the tolerance. Choices behind the first one see other values.
        """
        found = flips(self.graph, self.oracle[name], self.outputs[name], candidate)
        first = next(iter(found), None)
        return first.margin if first is not None and max(first.margin, first.error) <= tolerance else None


def _judge(
    reference: _Reference, stage: Stage, tolerance: float, layers: bool, progress: Progress
) -> CandidateReport:
    rows: list[InputRow] = []
    embeddings: list[tuple[Array, Array]] = []
    for name, batch in reference.batches.items():
        progress(f"{stage.runner.engine}: {name}")
        outputs = stage.runner.run(batch, reference.taps(stage))
        for tensor, other in _pairs(reference.stage, stage):
            expected, oracle = reference.outputs[name][tensor], reference.oracle[name][tensor]
            found = compare(expected, outputs[other])
            rows.append(
                InputRow(
                    name,
                    tensor,
                    found.error,
                    found.cosine,
                    compare(oracle, outputs[other]).error,
                    compare(oracle, expected).error,
                    tolerance,
                    reference.margin(name, outputs, tolerance) if found.error > tolerance else None,
                    found.problem,
                )
            )
            if not found.problem:
                embeddings.append((expected.reshape(len(batch), -1), outputs[other].reshape(len(batch), -1)))
    changed = _neighbours(embeddings) if len(stage.runner.outputs) == 1 else 0
    layer_rows = _judge_layers(reference, stage, tolerance, progress) if layers else ()
    return CandidateReport(stage.label, stage.runner.engine, tuple(rows), layer_rows, changed)


def _neighbours(embeddings: Sequence[tuple[Array, Array]]) -> int:
    if not embeddings:
        return 0
    expected, found = zip(*embeddings, strict=True)
    return changed_neighbours(np.concatenate(expected), np.concatenate(found))


def _judge_layers(
    reference: _Reference, stage: Stage, tolerance: float, progress: Progress
) -> tuple[LayerRow, ...]:
    batch = next(iter(reference.batches.values()))
    runner = reference.stage.runner
    values = runner.run(reference.fed(batch), taps=runner.tensors)
    values[stage.runner.input_name] = reference.fed(batch)
    artefact = None
    if stage.source.path is not None:
        artefact = find_manifest(stage.source.path, format_of(stage.source).name)[1]
    if artefact is not None:
        lost = [t.tensor for t in artefact.tensors if t.tensor not in values]
        if lost:
            raise ParityError(
                f"{stage.label} was made from another network than {reference.stage.label}",
                because="its manifest records tensors that the reference lacks",
                got=f"{lost[0]} and {len(lost) - 1} more" if len(lost) > 1 else lost[0],
            )
    lookup = origin_lookup(reference.graph, set(stage.runner.tensors) & set(values))
    return compare_layers(values, stage.runner, batch, tolerance, lookup, progress)


def _pairs(reference: Stage, candidate: Stage) -> list[tuple[str, str]]:
    """Outputs that belong together: by tensor name, or the only one of each side."""
    left, right = reference.runner.outputs, candidate.runner.outputs
    if set(left) == set(right):
        return [(name, name) for name in left]
    if len(left) == len(right) == 1:
        return [(left[0], right[0])]
    raise ParityError(
        f"the outputs of {reference.label} and {candidate.label} cannot be paired",
        got=f"{', '.join(left)} and {', '.join(right)}",
        remedy="--output picks one of the reference's outputs",
    )


def _open(source: Source) -> Runner:
    kind = format_of(source)
    if kind.open_runner is None:
        raise UsageError(f"{source} cannot be run", because=f"no engine runs {kind.name}")
    return kind.open_runner(source)


def _read(source: Source) -> Graph:
    kind = format_of(source)
    if kind.read is None:
        raise UsageError(f"{source} cannot be the reference", because=f"{kind.name} has no reader")
    return kind.read(source)


def _check_shapes(stages: Sequence[Stage]) -> None:
    shapes = {stage.label: stage.runner.input_shape for stage in stages}
    if len(set(shapes.values())) > 1:
        raise ParityError(
            "the networks take inputs of different shapes",
            got=", ".join(f"{label} {'x'.join(map(str, shape))}" for label, shape in shapes.items()),
        )
