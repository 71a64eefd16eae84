"""One network after another on one data set: the first is the original that the others are held against."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from mgn_convert.datasets.types import Dataset
from mgn_convert.embed import Advance, EmbeddingError
from mgn_convert.formats import Source
from mgn_convert.parity.drift import Drift, figures, measure_drift, score_drift
from mgn_convert.parity.people import People, embed_people
from mgn_convert.parity.retrieval import Scores, Settings
from mgn_reid.evaluation.device import open_on

log = logging.getLogger("mgn_reid")

Bar = Callable[[str], AbstractContextManager[Advance]]
"""A progress bar of that title."""


@dataclass(frozen=True)
class Row:
    """One network. drift: from the first one's embeddings; None for that, or where sizes differ.

    flip: the embedding of the mirror image was added, by us or inside the file.
    """

    name: str
    engine: str
    size: int
    flip: bool
    scores: Scores
    drift: Drift | None
    pictures_per_second: float


@dataclass(frozen=True)
class Evaluation:
    """All networks on one data set, which is what of it could be read."""

    dataset: Dataset
    skipped: int
    settings: Settings
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; scores are fractions, their drift is against the first network's."""
        first = self.rows[0].scores
        return {
            "dataset": {
                "name": self.dataset.name,
                "query": len(self.dataset.query),
                "gallery": len(self.dataset.gallery),
                "skipped": self.skipped,
            },
            "metric": self.settings.metric,
            "protocol": self.settings.protocol,
            "reranked": self.settings.reranking is not None,
            "expanded": self.settings.expansion is not None,
            "networks": [
                {
                    "name": row.name,
                    "engine": row.engine,
                    "embedding": row.size,
                    "flip": row.flip,
                    "scores": figures(row.scores),
                    "score_drift": score_drift(first, row.scores),
                    "drift": row.drift.to_json() if row.drift else None,
                    "queries": row.scores.queries,
                    "pictures_per_second": row.pictures_per_second,
                }
                for row in self.rows
            ],
        }


def evaluate(
    sources: Sequence[Source],
    dataset: Dataset,
    settings: Settings,
    *,
    device: str = "cpu",
    flip: bool = False,
    batch: int = 32,
    skip_bad: bool = False,
    bar: Bar,
) -> Evaluation:
    """Score each source; only one is open at a time, and two sets of embeddings are held.

    Raises what opening a network raises, and `embed_people`.
    """
    reference: People | None = None
    rows: list[Row] = []
    everyone = len(dataset.query) + len(dataset.gallery)
    for source in sources:
        with open_on(source, device) as made, bar(made.name) as advance, _told(made.name):
            people = embed_people(
                made.run,
                made.preprocessing,
                dataset,
                flip=flip and not made.mirrored,
                batch=batch,
                skip_bad=skip_bad,
                advance=advance,
            )
        dataset, skip_bad = people.dataset, False
        drift = None
        if reference is None:
            reference = people
        elif people.query.shape == reference.query.shape:
            drift = measure_drift(reference, people, settings.metric)
        mirrored = flip or made.mirrored
        if rows and mirrored != rows[0].flip:
            log.warning("only one of %s and %s has the mirror images; try --flip", made.name, rows[0].name)
        speed, size = people.pictures_per_second, people.query.shape[1]
        row = Row(made.name, made.engine, size, mirrored, people.scores(settings), drift, speed)
        rows.append(row)
    skipped = everyone - len(dataset.query) - len(dataset.gallery)
    return Evaluation(dataset, skipped, settings, tuple(rows))


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Says which of several networks an error is about."""
    try:
        yield
    except EmbeddingError as error:
        raise EmbeddingError(error.what, at=name, because=error.because, got=error.got) from None
