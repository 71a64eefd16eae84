"""mgn-reid cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mgn_reid.matching.command_line import PATH, network_options, opened

if TYPE_CHECKING:
    from mgn_reid.matching.accuracy import Accuracy


@click.command("cluster")
@click.argument("pictures", type=PATH)
@click.option("--model", type=PATH, help="Network for pictures: a checkpoint or any converted file.")
@network_options
@click.option(
    "--threshold", default=0.7, show_default=True, help="Euclidean distance of two pictures of one person."
)
@click.option(
    "--cluster-threshold",
    default=0.4,
    show_default=True,
    help="With average: how far that distance may be from the mean to the cluster's pictures.",
)
@click.option(
    "--rule",
    "kind",
    type=click.Choice(["average", "first"]),
    default="average",
    show_default=True,
    help="How a picture finds its cluster; first: the first picture near enough.",
)
@click.option("-o", "--output-folder", "folder", type=PATH, required=True, help="An empty or new folder.")
def command(
    pictures: Path,
    model: Path | None,
    threshold: float,
    cluster_threshold: float,
    kind: str,
    folder: Path,
    **options: Any,
) -> None:
    """Sort PICTURES (a folder, or a features file) by person, one picture after the other.

    Copies each picture to OUTPUT-FOLDER/result/CLUSTER/ and writes report.json. Folders are taken in the
    order of their names, features in the file's. Where names tell identities as Market-1501's do, says how
    well the clusters agree with them.
    """
    from mgn_convert.console import progress_bar
    from mgn_reid.matching.clustering import Rule, clusters
    from mgn_reid.matching.results import check_empty, save_clusters

    rule = Rule(threshold, cluster_threshold, kind)
    check_empty(folder)
    with opened(model, options) as embedding:
        features = embedding.features([pictures])
    found = clusters(features.embeddings, rule)
    with progress_bar("copying") as advance:
        measured = save_clusters(features, found, rule, folder, advance)
    click.echo(f"{folder / 'result'}  {len(features)} pictures in {len(set(found.tolist()))} clusters")
    if measured is not None:
        _show(measured)


def _show(measured: Accuracy) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", "value", "of")
    for name, value, of in (
        ("identity accuracy", f"{measured.identity_accuracy:.2%}", f"{measured.identities} identities"),
        ("class accuracy", f"{measured.class_accuracy:.2%}", f"{measured.clusters} clusters"),
        ("allocation errors", str(measured.allocation_errors), f"{measured.pictures} pictures"),
        ("identity split error", f"{measured.split_error:.2%}", f"{measured.identities} identities"),
    ):
        table.add_row(name, value, of)
    Console(highlight=False).print(table)
