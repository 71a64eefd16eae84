"""mgn-reid extract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mgn_convert.errors import UsageError
from mgn_reid.matching.command_line import PATH, network_options, opened


@click.command("extract")
@click.argument("model", type=PATH)
@click.argument("pictures", nargs=-1, required=True, type=PATH)
@network_options
@click.option("-o", "--features", "target", type=PATH, required=True, help="The .npz file to write.")
def command(model: Path, pictures: tuple[Path, ...], target: Path, **options: Any) -> None:
    """Run MODEL on PICTURES (files or folders) and save their embeddings with their names.

    MODEL is a checkpoint or any converted file. Embeddings are brought to unit length. Identities and cameras
    are saved, too, where the names tell them as Market-1501's do: 0002_c1s1_000451_03.jpg.
    """
    from mgn_reid.matching.features import DISTRACTOR, SUFFIX
    from mgn_reid.matching.gallery import is_features_file

    if target.suffix != SUFFIX:
        raise UsageError(
            "features go to an .npz file", got=str(target), remedy=f"-o {target.parent / target.stem}{SUFFIX}"
        )
    if any(map(is_features_file, pictures)):
        raise UsageError("a features file is no picture", got=", ".join(map(str, pictures)))
    with opened(model, options) as embedding:
        features = embedding.features(pictures)
    features.save(target)
    known = features.identities[features.identities > DISTRACTOR]
    people = f", {len(set(known.tolist()))} identities" if len(known) else ""
    click.echo(f"{target}  {len(features)} embeddings of {features.dimension}{people}")
