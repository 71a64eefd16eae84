"""What an evaluation prints."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mgn_convert.console import DRIFT_HEADINGS, SCORE_HEADINGS, drift_cells, score_cells
from mgn_convert.datasets import Dataset, concerns, differences
from mgn_reid.evaluation.measure import Evaluation


def announce(dataset: Dataset) -> None:
    """How much of whom the data set has, and what is odd about it."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(dataset.name)
    for line in dataset.counted():
        console.print(f"  {line}")
    for line in (*differences(dataset), *concerns(dataset)):
        console.print(f"note: {line}")


def show(evaluation: Evaluation) -> None:
    """One row a network: its scores in percent, and below them their drift from the first one's."""
    console = Console(highlight=False, width=None if Console().is_terminal else 160)
    first, *others = evaluation.rows
    drift = DRIFT_HEADINGS if others else ()
    table = Table(title=escape(_title(evaluation)), title_justify="left")
    for heading in ("network", "engine"):
        table.add_column(heading, overflow="fold")
    for heading in (*SCORE_HEADINGS, *drift, "pictures/s"):
        table.add_column(heading, justify="right")
    for row in evaluation.rows:
        cells = score_cells(row.scores, None if row is first else first.scores)
        if others:
            cells += drift_cells(row.drift)
        table.add_row(escape(row.name), row.engine, *cells, f"{row.pictures_per_second:.1f}")
    console.print(table)
    if evaluation.skipped:
        console.print(f"files that are no pictures, which do not count: {evaluation.skipped}")


def _title(evaluation: Evaluation) -> str:
    settings = evaluation.settings
    parts = [f"{settings.metric} distance", f"{settings.protocol} protocol"]
    if any(row.flip for row in evaluation.rows):
        parts.append("with mirror images")
    if (expansion := settings.expansion) is not None:
        parts.append(f"queries expanded by {expansion.k}")
    if (reranking := settings.reranking) is not None:
        parts.append(f"re-ranked (k1 {reranking.k1}, k2 {reranking.k2}, lambda {reranking.weight:g})")
    return ", ".join(parts)
