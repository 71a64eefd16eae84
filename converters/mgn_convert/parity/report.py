"""The result of a verification; all that is printed or saved is a view of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mgn_convert.parity.metrics import is_exact

if TYPE_CHECKING:
    from mgn_convert.parity.retrieval_check import RetrievalReport

SCHEMA = "mgn-convert/report/1"


@dataclass(frozen=True)
class InputRow:
    """One output of one candidate on one input batch.

    own_error, reference_own_error: of candidate and reference against the float64 run.
    margin: how nearly a choice inside the network tied that the two sides made differently; None where they
    chose alike, or where rounding cannot account for the difference.
    """

    input: str
    tensor: str
    error: float
    cosine: float
    own_error: float
    reference_own_error: float
    tolerance: float
    margin: float | None = None
    problem: str = ""

    @property
    def verdict(self) -> str:
        """pass, fail, or "selection changed": beyond the tolerance, but by a near tie alone."""
        if self.error <= self.tolerance:
            return "pass"
        return "fail" if self.margin is None else "selection changed"

    @property
    def exact(self) -> bool:
        """Whether the candidate is as near to float64 as twice the reference engine, plus 1e-6."""
        return self.verdict == "selection changed" or is_exact(self.own_error, self.reference_own_error)


@dataclass(frozen=True)
class LayerRow:
    """One mapped layer. chained: run from the network's input; isolated: fed the reference's values.

    cosine: the lower one of the two runs.
    """

    tensor: str
    layer: str
    origin: str
    chained: float
    isolated: float
    cosine: float
    passed: bool
    problem: str = ""


@dataclass(frozen=True)
class CandidateReport:
    """One candidate against the reference."""

    name: str
    engine: str
    inputs: tuple[InputRow, ...]
    layers: tuple[LayerRow, ...]
    changed_neighbours: int

    @property
    def compared(self) -> tuple[InputRow, ...]:
        """The rows whose numbers can be held to a tolerance."""
        return tuple(row for row in self.inputs if row.verdict != "selection changed")

    @property
    def max_error(self) -> float:
        return max((row.error for row in self.compared), default=math.inf)

    @property
    def cosine_min(self) -> float:
        found = [row.cosine for row in self.compared if not math.isnan(row.cosine)]
        return min(found, default=float("nan"))

    @property
    def own_error(self) -> float:
        return max((row.own_error for row in self.compared), default=math.inf)

    @property
    def reference_own_error(self) -> float:
        return max((row.reference_own_error for row in self.compared), default=math.inf)

    @property
    def exact(self) -> bool:
        return all(row.exact for row in self.inputs)

    @property
    def passed(self) -> bool:
        """Whether no row fails, and at least one output could be held to the tolerance."""
        rows = all(row.verdict == "pass" for row in self.compared)
        return bool(self.compared) and rows and all(row.passed for row in self.layers)

    @property
    def guilty(self) -> LayerRow | None:
        """The first layer that fails although it is fed the right values."""
        return next((row for row in self.layers if not row.passed), None)


@dataclass(frozen=True)
class Report:
    """A whole verification; max_error is the tolerance that would have passed.

    retrieval: who is found, where that was asked for.
    """

    reference: str
    reference_engine: str
    tolerance: float
    candidates: tuple[CandidateReport, ...]
    require_exact: bool = False
    retrieval: RetrievalReport | None = None

    @property
    def max_error(self) -> float:
        return max(c.max_error for c in self.candidates)

    @property
    def cosine_min(self) -> float:
        return min(c.cosine_min for c in self.candidates)

    @property
    def reference_own_error(self) -> float:
        return max(c.reference_own_error for c in self.candidates)

    @property
    def numbers_passed(self) -> bool:
        """Whether every candidate's outputs pass, whoever is found with them."""
        return all(c.passed and (c.exact or not self.require_exact) for c in self.candidates)

    @property
    def passed(self) -> bool:
        return self.numbers_passed and (self.retrieval is None or self.retrieval.passed)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, as schemas/report.schema.json describes; infinities and NaN become null."""
        content = {
            "schema": SCHEMA,
            "verdict": _verdict(self.passed),
            "tolerance": self.tolerance,
            "max_error": _number(self.max_error),
            "cosine_min": _number(self.cosine_min),
            "reference": {
                "name": self.reference,
                "engine": self.reference_engine,
                "own_error": _number(self.reference_own_error),
            },
            "candidates": [_candidate(c, self.tolerance) for c in self.candidates],
        }
        if self.retrieval is not None:
            content["retrieval"] = self.retrieval.to_json()
        return content


def _candidate(c: CandidateReport, tolerance: float) -> dict[str, Any]:
    return {
        "name": c.name,
        "engine": c.engine,
        "verdict": _verdict(c.passed),
        "tolerance": tolerance,
        "exact": c.exact,
        "max_error": _number(c.max_error),
        "cosine_min": _number(c.cosine_min),
        "own_error": _number(c.own_error),
        "changed_neighbours": c.changed_neighbours,
        "guilty": c.guilty.tensor if c.guilty else None,
        "inputs": [
            {
                "input": row.input,
                "tensor": row.tensor,
                "verdict": row.verdict,
                "tolerance": tolerance,
                "exact": row.exact,
                "max_error": _number(row.error),
                "cosine_min": _number(row.cosine),
                "own_error": _number(row.own_error),
                "reference_own_error": _number(row.reference_own_error),
                "margin": row.margin,
                "problem": row.problem,
            }
            for row in c.inputs
        ],
        "layers": [
            {
                "tensor": row.tensor,
                "layer": row.layer,
                "origin": row.origin,
                "verdict": _verdict(row.passed),
                "tolerance": tolerance,
                "chained_error": _number(row.chained),
                "isolated_error": _number(row.isolated),
                "max_error": _number(max(row.chained, row.isolated)),
                "cosine_min": _number(row.cosine),
                "problem": row.problem,
            }
            for row in c.layers
        ],
    }


def _verdict(passed: bool) -> str:
    return "pass" if passed else "fail"


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
