"""mgn-reid make-dataset."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("make-dataset")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--identities", default=128, show_default=True, help="People to train on.")
@click.option("--test-identities", default=32, show_default=True, help="Other people, for query and gallery.")
@click.option("--cameras", default=4, show_default=True, help="Cameras; each sees everybody.")
@click.option("--pictures", default=4, show_default=True, help="Pictures of each person by each camera.")
@click.option("--distractors", default=64, show_default=True, help="Gallery pictures of others.")
@click.option("--height", default=128, show_default=True, help="Of a picture, in pixels.")
@click.option("--width", default=64, show_default=True, help="Of a picture, in pixels.")
@click.option("--seed", default=0, show_default=True, help="Another number gives other people and cameras.")
@click.option("--workers", default=os.cpu_count() or 1, help="Processes that draw. Default: one per core.")
def command(
    out: Path,
    identities: int,
    test_identities: int,
    cameras: int,
    pictures: int,
    distractors: int,
    height: int,
    width: int,
    seed: int,
    workers: int,
) -> None:
    """Draw synthetic pedestrians into the new folder OUT, in the layout of Market-1501.

    The same options always give the same files. The gallery also has junk, a quarter as many as distractors.
    """
    from mgn_convert.console import progress_bar
    from mgn_convert.datasets import read_dataset
    from mgn_reid.synthesis import make_dataset

    with progress_bar("drawing") as advance:
        make_dataset(
            out,
            identities=identities,
            test_identities=test_identities,
            cameras=cameras,
            pictures=pictures,
            distractors=distractors,
            size=(height, width),
            seed=seed,
            workers=workers,
            advance=advance,
        )
    for line in read_dataset(out).counted():
        click.echo(line)
