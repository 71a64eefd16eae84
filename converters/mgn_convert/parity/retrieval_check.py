"""The part of a verification that asks who is found: a reference and its candidates on one data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mgn_convert.datasets.types import Dataset
from mgn_convert.embed import Embedder, EmbeddingError
from mgn_convert.parity.drift import Drift, figures, measure_drift, score_drift
from mgn_convert.parity.people import People, embed_people
from mgn_convert.parity.retrieval import Scores, Settings

JUDGED = ("rank-1", "mAP", "mINP")
TOLERANCE = 1e-3


@dataclass(frozen=True)
class RetrievalCheck:
    """What is asked for. flip: add the embedding of the mirror image. tolerance: see `RetrievalReport`."""

    dataset: Dataset
    settings: Settings
    flip: bool = False
    tolerance: float = TOLERANCE


@dataclass(frozen=True)
class RetrievalRow:
    """One candidate. scores and drift are None where `problem` says why there are none."""

    name: str
    engine: str
    scores: Scores | None
    drift: Drift | None
    problem: str = ""


@dataclass(frozen=True)
class RetrievalReport:
    """All candidates against the reference.

    tolerance: how far rank-1, mAP and mINP may move either way, as fractions. noise: the largest margin of a
    flip that rounding accounts for, a cosine distance.
    """

    check: RetrievalCheck
    flip: bool
    noise: float
    reference: str
    reference_engine: str
    reference_scores: Scores
    rows: tuple[RetrievalRow, ...]

    def faults(self, row: RetrievalRow) -> list[str]:
        """Why a candidate fails; nothing where it passes."""
        if row.scores is None or row.drift is None:
            return [row.problem]
        moved = score_drift(self.reference_scores, row.scores)
        found = [
            f"{name} moves by {100 * moved[name]:+.3f} points"
            for name in JUDGED
            if abs(moved[name]) > self.check.tolerance
        ]
        wrong = [flip for flip in row.drift.flips if flip.margin > self.noise]
        if wrong:
            queries = len(self.check.dataset.query)
            found.append(
                f"another picture comes first, beyond noise, for {len(wrong)} of {queries} queries; "
                f"furthest for {wrong[0].query}, by {wrong[0].margin:.1e}"
            )
        return found

    @property
    def passed(self) -> bool:
        return not any(self.faults(row) for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, as schemas/report.schema.json describes."""
        return {
            "verdict": "pass" if self.passed else "fail",
            "dataset": self.check.dataset.name,
            "queries": self.reference_scores.queries,
            "skipped": self.reference_scores.skipped,
            "gallery": len(self.check.dataset.gallery),
            "flip": self.flip,
            "reranked": self.check.settings.reranking is not None,
            "tolerance": self.check.tolerance,
            "noise": self.noise,
            "reference": {
                "name": self.reference,
                "engine": self.reference_engine,
                "scores": figures(self.reference_scores),
            },
            "candidates": [self._row(row) for row in self.rows],
        }

    def _row(self, row: RetrievalRow) -> dict[str, Any]:
        scores = row.scores
        return {
            "name": row.name,
            "engine": row.engine,
            "verdict": "fail" if self.faults(row) else "pass",
            "scores": figures(scores) if scores else None,
            "score_drift": score_drift(self.reference_scores, scores) if scores else None,
            "drift": row.drift.to_json() if row.drift else None,
            "faults": self.faults(row),
        }


def check_retrieval(
    check: RetrievalCheck, embedders: Sequence[Embedder], noise: float, progress: Callable[[str], None]
) -> RetrievalReport:
    """Score the first of `embedders` and all others, the candidates.

    Where one has the mirror image inside, the others are given it too. Raises what `embed_people` raises, but
    a candidate that gives NaN, or embeddings of another size, fails in the report instead.
    """
    flip = check.flip or any(made.mirrored for made in embedders)

    def embedded(made: Embedder) -> People:
        return embed_people(
            made.run,
            made.preprocessing,
            check.dataset,
            flip=flip and not made.mirrored,
            advance=lambda done, total: progress(f"{made.engine}: picture {done} of {total}"),
        )

    first, *others = embedders
    reference = embedded(first)
    rows = []
    for made in others:
        try:
            people = embedded(made)
        except EmbeddingError as error:
            rows.append(RetrievalRow(made.name, made.engine, None, None, error.what))
            continue
        rows.append(_row(made, people, reference, check.settings))
    return RetrievalReport(
        check, flip, noise, first.name, first.engine, reference.scores(check.settings), tuple(rows)
    )


def _row(made: Embedder, people: People, reference: People, settings: Settings) -> RetrievalRow:
    size, expected = people.query.shape[1], reference.query.shape[1]
    if size != expected:
        problem = f"its embeddings have {size} numbers where the reference's have {expected}"
        return RetrievalRow(made.name, made.engine, None, None, problem)
    drift = measure_drift(reference, people, settings.metric)
    return RetrievalRow(made.name, made.engine, people.scores(settings), drift)
