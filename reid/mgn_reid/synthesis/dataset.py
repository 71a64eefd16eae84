"""A whole data set of synthetic pedestrians, in the layout of Market-1501."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from mgn_convert.errors import UsageError
from mgn_convert.files import staged
from mgn_reid.synthesis.picture import photograph

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
_DISTRACTORS, _JUNK = 1 << 30, 1 << 31  # where the numbers of people begin whom no query shows
_CHUNK = 64


class _Shot(NamedTuple):
    """A picture to be taken: into which folder, under which name, of whom."""

    folder: str
    label: str
    identity: int
    camera: int
    number: int
    cut: bool = False

    @property
    def name(self) -> str:
        """As Market-1501 names it: person, camera and sequence, frame, number of the box."""
        box = 0 if self.folder == QUERY else 1
        return f"{self.label}_c{self.camera}s1_{25 * self.number + 1:06d}_{box:02d}.jpg"


def make_dataset(
    folder: Path,
    *,
    identities: int = 128,
    test_identities: int = 32,
    cameras: int = 4,
    pictures: int = 4,
    distractors: int = 64,
    size: tuple[int, int] = (128, 64),
    seed: int = 0,
    workers: int = 1,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Draw `identities` people to train on and `test_identities` others into `folder`, which is new or empty.

    Each of the `cameras` takes `pictures` of each person; of the people to test on, the first of them is the
    query. The gallery also has `distractors` pictures of other people (identity 0) and a quarter as many that
    are badly cut (junk, identity -1). size: (height, width) in pixels. A picture depends on the seed, its
    person, camera and number only, so that a larger data set has those of a smaller one (with the same
    versions of Pillow and NumPy). workers: processes; the result is the same. advance(done, total) is called
    now and then. `folder` gets all or nothing.

    Raises UsageError when a number is out of range or `folder` is not empty or cannot be written.
    """
    _check(folder, identities, test_identities, cameras, pictures, distractors, size, seed, workers)
    shots = list(_shots(identities, test_identities, cameras, pictures, distractors))
    with staged(folder) as (scratch, publish):
        for part in (TRAIN, QUERY, GALLERY):
            (scratch / part).mkdir()
        done = 0
        for count in _taken(partial(_take, scratch, seed, size), shots, workers):
            done += count
            advance(done, len(shots))
        publish()


def _check(
    folder: Path,
    identities: int,
    test_identities: int,
    cameras: int,
    pictures: int,
    distractors: int,
    size: tuple[int, int],
    seed: int,
    workers: int,
) -> None:
    lowest = (
        ("identities", identities, 1),
        ("test identities", test_identities, 1),
        ("cameras", cameras, 2),
        ("pictures of each person and camera", pictures, 2),
        ("distractors", distractors, 0),
        ("the height", size[0], 32),
        ("the width", size[1], 16),
        ("the seed", seed, 0),
        ("workers", workers, 1),
    )
    for what, value, least in lowest:
        if value < least:
            raise UsageError(f"{what}: {value} is too little", because=f"the least is {least}")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty",
            because="nothing is overwritten",
            remedy="name a new folder",
        )


def _shots(
    identities: int, test_identities: int, cameras: int, pictures: int, distractors: int
) -> Iterator[_Shot]:
    for person in range(1, identities + test_identities + 1):
        for camera in range(1, cameras + 1):
            for index in range(pictures):
                part = TRAIN if person <= identities else GALLERY if index else QUERY
                yield _Shot(part, f"{person:04d}", person, camera, index)
    for i in range(distractors):
        yield _Shot(GALLERY, "0000", _DISTRACTORS + i, i % cameras + 1, i)
    for i in range(distractors // 4):
        yield _Shot(GALLERY, "-1", _JUNK + i, i % cameras + 1, i, cut=True)


def _take(scratch: Path, seed: int, size: tuple[int, int], shots: Iterable[_Shot]) -> int:
    """Draw and save `shots`; how many they are."""
    count = 0
    for shot in shots:
        picture, quality = photograph(seed, shot.identity, shot.camera, shot.number, size, cut=shot.cut)
        picture.save(scratch / shot.folder / shot.name, quality=quality)
        count += 1
    return count


def _taken(take: Callable[[Iterable[_Shot]], int], shots: list[_Shot], workers: int) -> Iterator[int]:
    """Take all shots, in processes where there are several; yields how many each step took."""
    chunks = [shots[i : i + _CHUNK] for i in range(0, len(shots), _CHUNK)]
    if workers == 1:
        yield from map(take, chunks)
        return
    with ProcessPoolExecutor(
        workers, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        waiting = [pool.submit(take, chunk) for chunk in chunks]
        try:
            for each in as_completed(waiting):
                yield each.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
