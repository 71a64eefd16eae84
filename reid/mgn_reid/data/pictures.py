"""Training pictures, loaded ahead of the network by processes of their own."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mgn_convert.datasets.types import Picture
from mgn_convert.errors import FileFormatError
from mgn_convert.graph.types import Array
from mgn_convert.preprocess import read_picture
from mgn_reid.data.augment import Augment
from mgn_reid.data.sampler import Draw, PeopleSampler


@dataclass(frozen=True)
class Batch:
    """images (N, 3, H, W) float32 and labels (N,) int64.

    unreadable: what was wrong with pictures in whose place others are.
    error: why the batch could not be made; it is empty then.
    """

    images: Tensor
    labels: Tensor
    unreadable: tuple[str, ...] = ()
    error: FileFormatError | None = None

    def pin_memory(self) -> Batch:
        """The same batch in memory from which CUDA copies while it computes; DataLoader calls this."""
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory())


@dataclass(frozen=True)
class _Loaded:
    image: Array
    label: int
    unreadable: tuple[str, ...]


class People:
    """The people of a training set: label k is the k-th identity in ascending order."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        found: dict[int, list[int]] = defaultdict(list)
        for number, picture in enumerate(pictures):
            found[picture.identity].append(number)
        self.identities = sorted(found)
        self.pictures = [found[identity] for identity in self.identities]
        label = {identity: k for k, identity in enumerate(self.identities)}
        self.labels = [label[picture.identity] for picture in pictures]


class TrainingPictures(Dataset["_Loaded | FileFormatError"]):
    """Pictures by what a sampler draws. What happens to one depends on the seed and on the draw alone.

    skip_bad: another picture of the same person takes the place of one that cannot be read.
    """

    def __init__(
        self, paths: Sequence[Path], people: People, augment: Augment, seed: int, skip_bad: bool
    ) -> None:
        self._paths, self._people, self._augment = paths, people, augment
        self._seed, self._skip_bad = seed, skip_bad

    def __getitem__(self, draw: Draw) -> _Loaded | FileFormatError:
        label = self._people.labels[draw.picture]
        others = [n for n in self._people.pictures[label] if n != draw.picture] if self._skip_bad else []
        unreadable = []
        for number in (draw.picture, *others):
            try:
                picture = read_picture(self._paths[number])
            except FileFormatError as error:
                unreadable.append(error)
                continue
            generator = np.random.default_rng((self._seed, draw.epoch, draw.position))
            image = self._augment(picture, generator)
            return _Loaded(image, label, tuple(map(_line, unreadable)))
        first = unreadable[0]
        if not self._skip_bad:
            return FileFormatError(first.what, because=first.because, remedy="--skip-bad leaves it out")
        return FileFormatError(
            f"no picture of person {self._people.identities[label]} can be read",
            because="; ".join(map(_line, unreadable)),
        )


def _line(error: FileFormatError) -> str:
    return f"{error.what}: {error.because}"


def collated(loaded: Sequence[_Loaded | FileFormatError]) -> Batch:
    """One batch; of errors, the first."""
    for each in loaded:
        if isinstance(each, FileFormatError):
            return Batch(torch.empty(0), torch.empty(0), error=each)
    whole = [each for each in loaded if isinstance(each, _Loaded)]
    return Batch(
        torch.from_numpy(np.stack([each.image for each in whole])),
        torch.tensor([each.label for each in whole]),
        tuple(line for each in whole for line in each.unreadable),
    )


def loader(pictures: TrainingPictures, sampler: PeopleSampler, workers: int, pin: bool) -> Iterable[Batch]:
    """Batches in the sampler's order; pin: into memory from which CUDA copies while it computes."""
    made: DataLoader[Any] = DataLoader(
        pictures,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collated,
        pin_memory=pin,
        persistent_workers=workers > 0,
        worker_init_fn=_quiet,
        # Its own, since it draws from it whenever an epoch is entered, in the middle too.
        generator=torch.Generator(),
    )
    return made


def _quiet(worker: int) -> None:
    """Requests to stop are for the process that trains, which ends its workers when it has saved.

    One thread per worker is what the cores are for.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
