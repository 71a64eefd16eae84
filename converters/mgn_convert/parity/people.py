"""Who is found: a network's embeddings of a data set's query and gallery, and their scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mgn_convert.datasets.types import Dataset, Picture
from mgn_convert.embed import Advance, Run, embed_files, unseen
from mgn_convert.errors import UsageError
from mgn_convert.graph.types import Array
from mgn_convert.parity.retrieval import Labels, Scores, Settings, score_embeddings
from mgn_convert.preprocess import Preprocessing

NOBODY = -1


@dataclass(frozen=True)
class People:
    """Embeddings of the queries (Q, D) and of the gallery (G, D), float32.

    dataset: the data set with those pictures alone that could be read. seconds: spent on the embeddings.
    """

    dataset: Dataset
    query: Array
    gallery: Array
    seconds: float

    @property
    def pictures_per_second(self) -> float:
        """From file to embedding."""
        return (len(self.query) + len(self.gallery)) / self.seconds

    @cached_property
    def labels(self) -> tuple[Labels, Labels]:
        """Of the queries and of the gallery."""
        return Labels.of(self.dataset.query), Labels.of(self.dataset.gallery)

    def scores(self, settings: Settings) -> Scores:
        """How well the gallery's pictures of a query's person are found."""
        return score_embeddings(self.query, self.gallery, *self.labels, settings)

    def junk(self, start: int, count: int) -> NDArray[np.bool_]:
        """Gallery pictures (count, G) that do not count for the queries from `start`.

        They show the query's person from its camera, or no person.
        """
        queries, gallery = self.labels
        part = slice(start, start + count)
        same = queries.identities[part, None] == gallery.identities
        same &= queries.cameras[part, None] == gallery.cameras
        return same | (gallery.identities == NOBODY)


def score_pictures(
    run: Run,
    preprocessing: Preprocessing | None,
    dataset: Dataset,
    settings: Settings,
    *,
    flip: bool = False,
    batch: int = 32,
    skip_bad: bool = False,
    advance: Advance = unseen,
) -> Scores:
    """The scores of `run` on a data set; for the arguments and what is raised see `embed_people`."""
    people = embed_people(
        run, preprocessing, dataset, flip=flip, batch=batch, skip_bad=skip_bad, advance=advance
    )
    return people.scores(settings)


def embed_people(
    run: Run,
    preprocessing: Preprocessing | None,
    dataset: Dataset,
    *,
    flip: bool = False,
    batch: int = 32,
    skip_bad: bool = False,
    advance: Advance = unseen,
) -> People:
    """Embed each query and gallery picture once. For the arguments see `mgn_convert.embed.embed_files`.

    Raises what that raises, and UsageError for a data set without query or gallery.
    """
    _check(dataset)
    pictures = (*dataset.query, *dataset.gallery)
    paths = [picture.path for picture in pictures]
    began = time.perf_counter()
    found = embed_files(run, preprocessing, paths, batch=batch, flip=flip, skip_bad=skip_bad, advance=advance)
    seconds = time.perf_counter() - began
    queries = int(np.searchsorted(found.kept, len(dataset.query)))
    kept: list[Picture] = [pictures[i] for i in found.kept]
    readable = replace(dataset, query=tuple(kept[:queries]), gallery=tuple(kept[queries:]))
    _check(readable)
    return People(readable, found.rows[:queries], found.rows[queries:], seconds)


def _check(dataset: Dataset) -> None:
    for part, pictures in (("query", dataset.query), ("gallery", dataset.gallery)):
        if not pictures:
            raise UsageError(
                f"{dataset.name} has no {part} pictures",
                because="each query is looked for in the gallery",
                got=f"{len(dataset.query)} query and {len(dataset.gallery)} gallery pictures",
            )
