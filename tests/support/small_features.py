"""Features for tests, and a plain search of them to compare ours with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mgn_reid.matching.features import UNKNOWN, Features, Record

RECORD = Record("small.onnx", "ab" * 32, "", False, None)


def draw_features(
    shots: str,
    *,
    people: int = 6,
    cameras: int = 3,
    each: int = 2,
    dimension: int = 24,
    record: Record = RECORD,
    root: Path = Path("/people"),
) -> Features:
    """`each` embeddings of every person by every camera, near one point a person; `shots` names them.

    The points depend on the dimension alone, so that two calls show the same people.
    """
    points = np.random.default_rng(dimension).standard_normal((people, dimension))
    random = np.random.default_rng(sum(map(ord, shots)))
    labels = np.array([(p, c) for p in range(1, people + 1) for c in range(1, cameras + 1)] * each, np.int64)
    rows = points[labels[:, 0] - 1] + 0.7 * random.standard_normal((len(labels), dimension))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = tuple(f"{shots}/{p:04d}_c{c}_{shot:03d}.jpg" for shot, (p, c) in enumerate(labels.tolist()))
    return Features(rows.astype(np.float32), names, labels[:, 0].copy(), labels[:, 1].copy(), root, record)


def plain_search(
    queries: Features, gallery: Features, k: int, other_cameras: bool = False
) -> list[list[tuple[str, float]]]:
    """Names and cosine distances in float64 of the `k` nearest, pair by pair."""
    found = []
    for query, identity, camera in zip(
        queries.embeddings.astype(float), queries.identities, queries.cameras, strict=True
    ):
        rows = []
        for entry, name, other, seen_by in zip(
            gallery.embeddings.astype(float), gallery.names, gallery.identities, gallery.cameras, strict=True
        ):
            known = UNKNOWN not in (identity, camera)
            if not (other_cameras and known and other == identity and seen_by == camera):
                rows.append((1 - float(query @ entry), name))
        found.append([(name, distance) for distance, name in sorted(rows)[:k]])
    return found
