"""Time and memory of evaluation and re-ranking at the sizes of Market-1501 and MSMT17.

    python benchmarks/retrieval.py [--runs N] [--plain-reranking]

Embeddings are drawn by seed: unit vectors of 2,048 around a point per person, seen by several cameras, and
distractors. Beside ours stands the ordinary evaluation, a whole table of distances and a sort of every row;
with --plain-reranking also re-ranking on whole tables of all pairs, which takes minutes and 13 GB. Every
figure is the minimum over the runs, each in a process of its own. Both must tell the same scores; of
re-ranking the distances themselves are compared too. Times of re-ranking include the evaluation.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from mgn_convert.graph.types import Array
from mgn_convert.parity.reranking import reranked_distances
from mgn_convert.parity.retrieval import Labels, Reranking, Settings, score_embeddings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
WIDTH, INNER, NOISE = 2048, 48, 1.0
CLOSE, SAME = 2e-6, 2e-5


@dataclass(frozen=True)
class Size:
    """How many queries, pictures in the gallery, people and cameras; the share of distractors."""

    queries: int
    pictures: int
    people: int
    cameras: int
    distractors: float


SIZES = {
    "Market-1501": Size(3368, 19732, 750, 6, 0.33),
    "MSMT17": Size(11659, 82161, 3060, 15, 0.0),
}


@dataclass(frozen=True)
class Case:
    """Embeddings and labels of one size."""

    query: Array
    gallery: Array
    query_labels: Labels
    gallery_labels: Labels

    @classmethod
    def draw(cls, size: Size) -> Case:
        rng = np.random.default_rng(0)
        people = rng.standard_normal((size.people, INNER), np.float32)
        spread = rng.standard_normal((INNER, WIDTH), np.float32)

        def draw(count: int, distractors: float) -> tuple[Array, Labels]:
            identities = rng.integers(0, size.people, count)
            inner = people[identities] + NOISE * rng.standard_normal((count, INNER), np.float32)
            strangers = rng.random(count) < distractors
            inner[strangers] = rng.standard_normal((int(strangers.sum()), INNER), np.float32)
            identities[strangers] = size.people
            rows = np.empty((count, WIDTH), np.float32)
            for start in range(0, count, 1000):
                part = inner[start : start + 1000] @ spread
                rows[start : start + 1000] = part / np.linalg.norm(part, axis=1, keepdims=True)
            return rows, Labels(identities, rng.integers(0, size.cameras, count))

        query, query_labels = draw(size.queries, 0)
        gallery, gallery_labels = draw(size.pictures, size.distractors)
        return cls(query, gallery, query_labels, gallery_labels)


def evaluate(case: Case) -> dict[str, Any]:
    return score_embeddings(case.query, case.gallery, case.query_labels, case.gallery_labels).to_json()


def evaluate_plainly(case: Case) -> dict[str, Any]:
    return scored_plainly(1 - case.query @ case.gallery.T, case)


def scored_plainly(table: Array, case: Case) -> dict[str, Any]:
    from plain_retrieval import plain_scores

    cmc, mean_ap, mean_inp, _skipped = plain_scores(table, case.query_labels, case.gallery_labels)
    return {"cmc": cmc.tolist(), "mean_ap": mean_ap, "mean_inp": mean_inp}


def rerank(case: Case) -> dict[str, Any]:
    settings = Settings(reranking=Reranking())
    labels = case.query_labels, case.gallery_labels
    return score_embeddings(case.query, case.gallery, *labels, settings).to_json()


def rerank_plainly(case: Case) -> dict[str, Any]:
    return scored_plainly(reranked_plainly(case), case)


def reranked_plainly(case: Case) -> Array:
    from plain_retrieval import plain_reranked

    union = np.concatenate([case.query, case.gallery])
    squared = 2 - 2 * (union @ union.T)
    np.maximum(squared, 0, out=squared)
    np.fill_diagonal(squared, 0)
    chosen = Reranking()
    return plain_reranked(squared, len(case.query), chosen.k1, chosen.k2, chosen.weight)


def compare_reranking(case: Case) -> dict[str, Any]:
    """The largest difference to the plain one, and how many rows and how many first 50 agree."""
    plain, largest, same_rows, same_first = reranked_plainly(case), 0.0, 0, 0
    for first, block in reranked_distances(case.query, case.gallery, Reranking()).blocks():
        for ours, theirs in zip(block, plain[first : first + len(block)], strict=True):
            difference = float(np.abs(ours - theirs).max())
            largest = max(largest, difference)
            same_rows += difference <= CLOSE
            orders = (np.argsort(row, kind="stable")[:50] for row in (ours, theirs))
            same_first += bool(np.equal(*orders).all())
    return {"largest": largest, "rows": same_rows, "first": same_first, "queries": len(plain)}


MEASURES: dict[str, Callable[[Case], dict[str, Any]]] = {
    "evaluation": evaluate,
    "plain evaluation": evaluate_plainly,
    "re-ranking": rerank,
    "plain re-ranking": rerank_plainly,
    "comparison": compare_reranking,
}


def measure(name: str, size: str) -> dict[str, Any]:
    """Seconds, peak MB of the process, MB of the embeddings, and what the measure returns."""
    case = Case.draw(SIZES[size])
    start = time.perf_counter()
    found = MEASURES[name](case)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "embeddings": (case.query.nbytes + case.gallery.nbytes) / 2**20,
        "found": found,
    }


def in_child(name: str, size: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", name, "--size", size]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def check(ours: dict[str, Any], plain: dict[str, Any]) -> None:
    """The distances differ in the last digit, which may exchange two pictures but hardly moves a score."""
    for name in ("cmc", "mean_ap", "mean_inp"):
        apart = float(np.abs(np.subtract(ours[name], plain[name])).max())
        if apart > SAME:
            sys.exit(f"{name}: ours and the plain one are {apart:.2g} apart")


@click.command()
@click.option("--runs", default=3, show_default=True)
@click.option("--plain-reranking", is_flag=True, help="Re-rank on whole tables too: minutes and 13 GB.")
@click.option("--measure", "chosen", hidden=True, type=click.Choice(list(MEASURES)))
@click.option("--size", hidden=True, type=click.Choice(list(SIZES)))
def main(runs: int, plain_reranking: bool, chosen: str | None, size: str | None) -> None:
    """Print the table."""
    if chosen is not None:
        assert size is not None
        print(json.dumps(measure(chosen, size)))
        return
    wanted = [("Market-1501", name) for name in list(MEASURES)[: 4 if plain_reranking else 3]]
    wanted.append(("MSMT17", "evaluation"))
    table = Table("size", "what", "seconds", "peak MB", "less embeddings", "rank-1", "mAP", "mINP")
    scores: dict[tuple[str, str], dict[str, Any]] = {}
    for place, name in wanted:
        times = 1 if name == "plain re-ranking" else runs
        found = [in_child(name, place) for _ in range(times)]
        seconds, peak = (min(run[key] for run in found) for key in ("seconds", "peak"))
        told = scores[place, name] = found[0]["found"]
        beside = peak - found[0]["embeddings"]
        shares = (f"{100 * told[key]:.2f}" for key in ("mean_ap", "mean_inp"))
        first = f"{100 * told['cmc'][0]:.2f}"
        table.add_row(place, name, f"{seconds:.2f}", f"{peak:.0f}", f"{beside:.0f}", first, *shares)
    Console(width=120).print(table)
    for (place, name), told in scores.items():
        if (place, f"plain {name}") in scores:
            check(told, scores[place, f"plain {name}"])
    if plain_reranking:
        found = in_child("comparison", "Market-1501")["found"]
        print(f"Re-ranked distances differ from the plain ones by at most {found['largest']:.1e}.")
        print(f"Of {found['queries']} rows {found['rows']} differ by less than {CLOSE},")
        print(f"and {found['first']} have the same first 50 in the same order.")


if __name__ == "__main__":
    main()
