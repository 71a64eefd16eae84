"""What a clustering leaves behind: a folder of pictures for each cluster, and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mgn_convert.errors import UsageError
from mgn_convert.files import staged
from mgn_convert.graph.types import Array
from mgn_reid.matching.accuracy import Accuracy, accuracy
from mgn_reid.matching.clustering import Rule
from mgn_reid.matching.features import Features

SCHEMA = "mgn-reid/clusters/1"


def save_clusters(
    features: Features,
    clusters: Array,
    rule: Rule,
    folder: Path,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Accuracy | None:
    """Copy the pictures to folder/result/CLUSTER/NAME and write folder/report.json, all or nothing.

    A name keeps its folders, hence no two pictures collide. Returns the accuracy, None where no name tells an
    identity. Raises UsageError when `folder` is not empty, a picture cannot be read any more, or there is no
    room.
    """
    check_empty(folder)
    measured = accuracy(clusters, features.identities)
    with staged(folder) as (scratch, publish):
        for row, name in enumerate(features.names):
            target = scratch / "result" / str(clusters[row]) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(features.picture(row)))
            advance(row + 1, len(features))
        report = json.dumps(_report(features, clusters, rule, measured), indent=1)
        (scratch / "report.json").write_text(report + "\n", encoding="utf8")
        publish()
    return measured


def check_empty(folder: Path) -> None:
    """Raise UsageError unless `folder` is empty or not there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder", remedy="another -o")


def _content(picture: Path) -> bytes:
    try:
        return picture.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the picture {picture}",
            because=f"{error.strerror}; its embedding was made from it",
            remedy="extract the features again from where the pictures are",
        ) from None


def _report(features: Features, clusters: Array, rule: Rule, measured: Accuracy | None) -> dict[str, Any]:
    limits = {"threshold": rule.threshold}
    if rule.kind == "average":
        limits["cluster_threshold"] = rule.cluster_threshold
    return {
        "schema": SCHEMA,
        "rule": rule.kind,
        **limits,
        "distance": "euclidean",
        "features": features.record.to_json(),
        "root": str(features.root),
        "clusters": len(set(clusters.tolist())),
        "accuracy": measured.to_json() if measured is not None else None,
        "pictures": [
            {"name": name, "cluster": int(cluster)}
            for name, cluster in zip(features.names, clusters, strict=True)
        ],
    }
