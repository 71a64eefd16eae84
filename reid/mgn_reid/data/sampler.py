"""Batches of P people with K pictures each, the same whichever processes they are split over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class Draw(NamedTuple):
    """One picture of an epoch: its number in the data set, and its place in the epoch's plan."""

    picture: int
    epoch: int
    position: int


@dataclass(frozen=True)
class Plan:
    """How epochs are drawn.

    people: for each label from 0, the numbers of its pictures.
    identities, pictures: P and K. passes: how often an epoch visits everyone.
    incomplete: a pass cuts everyone, in random order, into batches; the last one is filled with people drawn
        again out of the others, or dropped.
    """

    people: Sequence[Sequence[int]]
    identities: int
    pictures: int
    passes: int = 1
    incomplete: Literal["fill", "drop"] = "fill"
    seed: int = 0

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(len(self.people), self.identities)
        return self.passes * (whole + (rest > 0 and self.incomplete == "fill"))

    def epoch(self, number: int) -> Indices:
        """Picture numbers (batches, P, K) of one epoch.

        Who has fewer than K pictures shows each of them about equally often.
        """
        generator = np.random.default_rng((self.seed, number))
        rows = [row for _ in range(self.passes) for row in self._pass(generator)]
        drawn = [[_drawn(self.people[who], self.pictures, generator) for who in row] for row in rows]
        return np.array(drawn, np.int64).reshape(len(rows), self.identities, self.pictures)

    def _pass(self, generator: np.random.Generator) -> Iterator[Indices]:
        order = generator.permutation(len(self.people))
        for start in range(0, len(order), self.identities):
            row = order[start : start + self.identities]
            lacking = self.identities - len(row)
            if lacking and self.incomplete == "drop":
                return
            yield np.concatenate([row, generator.permutation(order[:start])[:lacking]])


def _drawn(pictures: Sequence[int], count: int, generator: np.random.Generator) -> Indices:
    rounds = [generator.permutation(pictures) for _ in range(-(-count // len(pictures)))]
    return np.concatenate(rounds)[:count]


class PeopleSampler:
    """The share of one process in each batch of an epoch, for a DataLoader's `batch_sampler`.

    Every process draws the whole plan and takes its own people out of it: the processes' shares of a batch
    are disjoint, hold whole people, and together are the batch that a single process would have. P is a
    multiple of `processes`.
    """

    def __init__(self, plan: Plan, process: int = 0, processes: int = 1) -> None:
        self.plan = plan
        self._first = process * (plan.identities // processes)
        self._end = self._first + plan.identities // processes
        self._epoch, self._start = 0, 0

    def begin(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration give `epoch` from `batch` on."""
        self._epoch, self._start = epoch, batch

    def __len__(self) -> int:
        return self.plan.batches - self._start

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, plan = self._epoch, self.plan.epoch(self._epoch)
        places = np.arange(plan.size).reshape(plan.shape)
        for pictures, positions in zip(plan[self._start :], places[self._start :], strict=True):
            share = slice(self._first, self._end)
            drawn = zip(pictures[share].ravel().tolist(), positions[share].ravel().tolist(), strict=True)
            yield [Draw(picture, epoch, position) for picture, position in drawn]
