"""What commands print, and the progress they show on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from mgn_convert.parity.report import CandidateReport, Report
from mgn_convert.pipeline import Conversion

if TYPE_CHECKING:
    from mgn_convert.parity.drift import Drift
    from mgn_convert.parity.retrieval import Scores
    from mgn_convert.parity.retrieval_check import RetrievalReport

WORST_LAYERS = 10
SCORE_HEADINGS = ("rank-1", "rank-5", "rank-10", "mAP", "mINP")
DRIFT_HEADINGS = ("cosine", "other first", "top 10 kept")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A line on the terminal that says what is being done; nothing where there is no terminal."""
    console = Console(stderr=True)
    with console.status("") as status:
        yield status.update


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, nothing where there is no terminal; yields advance(done, total)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show_conversion(result: Conversion) -> None:
    """The files that were written, and how exact they are."""
    console = Console(soft_wrap=True, highlight=False)
    for path in result.files:
        console.print(escape(f"{path}  {_size(path.stat().st_size)}"))
    if result.report is not None:
        show_report(result.report)


def show_report(report: Report) -> None:
    """One row per candidate; then, of each, its failing inputs and layers."""
    console = _wide()
    table = Table(
        title=escape(f"reference: {report.reference} ({report.reference_engine})"), title_justify="left"
    )
    for heading in ("candidate", "engine", "error", "cosine", "error to float64", "reference's", "verdict"):
        table.add_column(heading, justify="left" if heading in ("candidate", "engine") else "right")
    for c in report.candidates:
        table.add_row(
            escape(c.name),
            c.engine,
            f"{c.max_error:.2e}",
            f"{c.cosine_min:.9f}",
            f"{c.own_error:.2e}",
            f"{c.reference_own_error:.2e}",
            _mark(c.passed) + (", exact" if c.exact else ""),
        )
    console.print(table)
    for c in report.candidates:
        _show_faults(console, c, report.tolerance)
    if report.retrieval is not None:
        _show_retrieval(console, report.retrieval)
    mark, found = _mark(report.numbers_passed), report.retrieval
    console.print(f"{mark}: tolerance {report.tolerance:g}; {report.max_error:.2e} would have passed")
    if found is not None:
        console.print(f"{_mark(found.passed)}: who is found, within {100 * found.check.tolerance:g} points")


def _show_retrieval(console: Console, found: RetrievalReport) -> None:
    """Scores of the reference, of every candidate, and why one fails."""
    check, scores = found.check, found.reference_scores
    extras = ["with mirror images"] if found.flip else []
    extras += ["re-ranked"] if check.settings.reranking else []
    counts = f"{scores.queries} queries in {len(check.dataset.gallery)} gallery pictures"
    title = ", ".join([f"who is found: {check.dataset.name}, {counts}", *extras])
    table = Table(title=escape(title), title_justify="left")
    for heading in ("network", "engine"):
        table.add_column(heading, overflow="fold")
    for heading in (*SCORE_HEADINGS, *DRIFT_HEADINGS, "verdict"):
        table.add_column(heading, justify="right")
    table.add_row(
        escape(found.reference), found.reference_engine, *score_cells(scores), *drift_cells(None), ""
    )
    for row in found.rows:
        cells = score_cells(row.scores, scores) + drift_cells(row.drift)
        table.add_row(escape(row.name), row.engine, *cells, _mark(not found.faults(row)))
    console.print(table)
    for row in found.rows:
        for fault in found.faults(row):
            console.print(escape(f"{row.name}: {fault}"))


def score_cells(scores: Scores | None, reference: Scores | None = None) -> list[str]:
    """What stands under SCORE_HEADINGS: percent, and below the drift in points where there is a reference."""
    from mgn_convert.parity.drift import figures, score_drift

    if scores is None:
        return ["-"] * len(SCORE_HEADINGS)
    cells = [f"{100 * value:.2f}" for value in figures(scores).values()]
    if reference is None:
        return cells
    moved = score_drift(reference, scores).values()
    return [f"{cell}\n{round(100 * by, 2) + 0.0:+.2f}" for cell, by in zip(cells, moved, strict=True)]


def drift_cells(drift: Drift | None) -> list[str]:
    """What stands under DRIFT_HEADINGS.

    The lowest cosine of two embeddings of one picture; how many queries find another picture first; which
    share of a query's ten nearest pictures stay among them, the mean in percent.
    """
    if drift is None:
        return [""] * len(DRIFT_HEADINGS)
    return [f"{drift.cosine_min:.6f}", str(len(drift.flips)), f"{100 * drift.overlap_mean:.2f}"]


def _show_faults(console: Console, c: CandidateReport, tolerance: float) -> None:
    for row in c.inputs:
        if row.verdict == "selection changed":
            console.print(
                escape(f"{c.name}: {row.input}: selection changed, by a margin of {row.margin:.1e}")
            )
        elif row.verdict == "fail":
            fault = f"{c.name}: {row.input}: {row.tensor} differs by {row.error:.3g} {row.problem}"
            console.print(escape(fault))
    if c.changed_neighbours:
        console.print(f"{c.name}: {c.changed_neighbours} embeddings have another nearest neighbour")
    if not c.layers:
        return
    console.print(f"{c.name}: {len(c.layers)} layers compared; the {WORST_LAYERS} worst in isolation:")
    table = Table("layer", "from", "chained", "isolated", "verdict")
    for layer in sorted(c.layers, key=lambda row: -row.isolated)[:WORST_LAYERS]:
        table.add_row(
            escape(layer.layer),
            escape(layer.origin),
            f"{layer.chained:.2e}",
            f"{layer.isolated:.2e}",
            _mark(layer.passed),
        )
    console.print(table)
    if c.guilty is not None:
        fault = f"{c.name}: the first layer at fault is {c.guilty.layer}, from {c.guilty.origin}"
        console.print(escape(fault))


def _wide() -> Console:
    """For tables: as wide as the terminal, and wide enough where there is none."""
    return Console(highlight=False, width=None if Console().is_terminal else 140)


def _mark(passed: bool) -> str:
    return "[green]pass[/green]" if passed else "[red]fail[/red]"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count} bytes"


def show_ops() -> None:
    """Networks with their options, formats with their dialects, and who reads and writes which op."""
    from mgn_convert.architecture import architectures
    from mgn_convert.formats import formats
    from mgn_convert.graph.ops import OPS

    console = Console(soft_wrap=True, highlight=False)
    console.print("[bold]Networks[/bold] (--arch)")
    for name, network in architectures().items():
        console.print(f"  {name:<18} {network.summary}")
        for key, option in network.options.items():
            choices = "|".join(map(str, option.choices)) or type(option.default).__name__
            console.print(escape(f"    {key}={choices} (default {option.default}): {option.help}"))
    console.print("[bold]Formats[/bold]")
    for name, kind in formats().items():
        verbs = [
            v for v, has in (("read", kind.read), ("write", kind.write), ("run", kind.open_runner)) if has
        ]
        dialects = f"; --{kind.dialect_option} {', '.join(kind.dialects())}" if kind.dialects() else ""
        console.print(f"  {name:<12} {'/'.join(verbs)}  {' '.join(kind.suffixes)}{dialects}")
    writers = {name: kind for name, kind in formats().items() if kind.written_ops is not None}
    table = Table(Column("op", no_wrap=True), *(f"to {name}" for name in writers))
    for op in sorted(OPS):
        table.add_row(op, *(kind.written_ops().get(op, "") for kind in writers.values() if kind.written_ops))
    _wide().print(table)


def show_doctor() -> bool:
    """One line per engine: there or not, and the remedy. True when the default ones are all there."""
    from mgn_convert.doctor import examine

    console = Console(soft_wrap=True, highlight=False)
    findings = examine()
    for finding in findings:
        mark = "[green]yes[/green]" if finding.present else ("no " if finding.optional else "[red]no[/red] ")
        console.print(f"{mark}  {finding.name:<11} {escape(finding.detail)}")
    return all(f.present or f.optional for f in findings)
