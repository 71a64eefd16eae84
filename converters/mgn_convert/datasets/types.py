"""What every layout is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PARTS = ("train", "query", "gallery")


@dataclass(frozen=True)
class Picture:
    """One picture. identity: of the person, -1 for what is no person. camera: a number."""

    path: Path
    identity: int
    camera: int


@dataclass(frozen=True)
class Counts:
    """How much a part of a data set has."""

    people: int
    pictures: int
    cameras: int

    def __str__(self) -> str:
        return f"{self.people} people, {self.pictures} pictures, {self.cameras} cameras"


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

    def counts(self) -> Mapping[str, Counts]:
        """How much each part has, by its name. Distractors (identity 0) are pictures, but no person."""
        asked = {picture.identity for picture in self.query}
        found = {}
        for part, pictures in zip(PARTS, (self.train, self.query, self.gallery), strict=True):
            people = {picture.identity for picture in pictures}
            if part == "gallery" and 0 not in asked:
                people.discard(0)
            found[part] = Counts(len(people), len(pictures), len({picture.camera for picture in pictures}))
        return found

    def counted(self) -> list[str]:
        """`counts` for people to read: one line per part."""
        return [f"{part:<8} {counts}" for part, counts in self.counts().items()]
