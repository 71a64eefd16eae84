"""What every layout is read into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """One picture. identity: of the person, -1 for what is no person. camera: a number."""

    path: Path
    identity: int
    camera: int


@dataclass(frozen=True)
class Dataset:
    """The pictures of a data set, each part sorted by path; parts that a folder lacks are empty.

    query and gallery hold other people than train. The gallery has no junk, but may have distractors: people
    that no query shows.
    """

    name: str
    train: tuple[Picture, ...]
    query: tuple[Picture, ...]
    gallery: tuple[Picture, ...]
