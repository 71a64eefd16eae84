"""What is odd about a data set, without being an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mgn_convert.datasets.types import PARTS, Counts, Dataset

PUBLISHED: Mapping[str, tuple[Counts, Counts, Counts]] = {
    "Market-1501": (Counts(751, 12936, 6), Counts(750, 3368, 6), Counts(750, 15913, 6)),
    "DukeMTMC-reID": (Counts(702, 16522, 8), Counts(702, 2228, 8), Counts(1110, 17661, 8)),
    "MSMT17": (Counts(1041, 32621, 15), Counts(3060, 11659, 15), Counts(3060, 82161, 15)),
    "CUHK03-np detected": (Counts(767, 7365, 2), Counts(700, 1400, 2), Counts(700, 5332, 2)),
    "CUHK03-np labeled": (Counts(767, 7368, 2), Counts(700, 1400, 2), Counts(700, 5328, 2)),
}
"""What the publications say of train, query and gallery; neither junk nor distractors count as people."""

_SHOWN = 3


def differences(dataset: Dataset) -> list[str]:
    """How the data set differs from the published one of its name, a line per part; cleaned copies do."""
    if dataset.name not in PUBLISHED:
        return []
    counts = dataset.counts()
    return [
        f"{dataset.name}: {part} has {counts[part]}; published are {published}"
        for part, published in zip(PARTS, PUBLISHED[dataset.name], strict=True)
        if counts[part] != published
    ]


def concerns(dataset: Dataset) -> list[str]:
    """What training or scoring will not use as one may expect, a line each.

    People of whom train has one picture only, people that train and the search share, and queries of which
    the gallery has no picture by another camera (the standard protocol skips them).
    """
    found = []
    pictures = Counter(picture.identity for picture in dataset.train)
    lonely = sorted(identity for identity, number in pictures.items() if number == 1)
    if lonely:
        found.append(f"train has a single picture of {len(lonely)} people: {_first(lonely)}")
    shared = sorted(set(pictures) & {picture.identity for picture in dataset.query})
    if shared:
        found.append(f"{len(shared)} people of train are searched for too: {_first(shared)}")
    seen: dict[int, set[int]] = {}
    for picture in dataset.gallery:
        seen.setdefault(picture.identity, set()).add(picture.camera)
    lost = [p.path.name for p in dataset.query if not seen.get(p.identity, set()) - {p.camera}]
    if lost:
        found.append(f"no other camera in the gallery saw the person of {len(lost)} queries: {_first(lost)}")
    return found


def _first(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
