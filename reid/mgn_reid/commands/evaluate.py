"""mgn-reid evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mgn_convert.cli_options import run_options, source_options, sources_from
from mgn_reid.evaluation.device import device_option

PATH = click.Path(path_type=Path)


@click.command("evaluate")
@click.argument("models", nargs=-1, required=True, type=PATH, metavar="MODEL...")
@source_options
@run_options
@click.option("--data", "folder", type=PATH, required=True, help="The data set's folder.")
@click.option("--kind", help="Its layout, where the folder does not tell.")
@click.option("--rerank", is_flag=True, help="Score after k-reciprocal re-ranking.")
@click.option("--k1", default=20, show_default=True, type=click.IntRange(1), help="Neighbours it compares.")
@click.option("--k2", default=6, show_default=True, type=click.IntRange(1), help="Neighbours it averages.")
@click.option(
    "--lambda",
    "weight",
    default=0.3,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Weight of the plain distance.",
)
@click.option("--flip", is_flag=True, help="Add the embeddings of the mirror images.")
@click.option("--expand", is_flag=True, help="Average each query with its nearest in the gallery.")
@click.option(
    "--protocol",
    type=click.Choice(["standard", "market-trapezoid", "cuhk03"]),
    default="standard",
    show_default=True,
    help="Trapezoidal average precision; or one random gallery picture a person.",
)
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True)
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1), help="Pictures at a time.")
@click.option("--skip-bad", is_flag=True, help="Leave out files that are no pictures, with a warning each.")
@device_option
@click.option("--json", "json_file", type=PATH, help="Write the scores here.")
def command(
    models: tuple[Path, ...],
    folder: Path,
    kind: str | None,
    flip: bool,
    batch: int,
    skip_bad: bool,
    device: str,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Score networks on a data set: rank-1, rank-5, rank-10, mAP and mINP.

    A MODEL is a checkpoint or any converted file (prototxt, cfg, onnx, pb, SavedModel folder); a weights file
    may follow it. The first one is the original: below the scores of the others stands how far each is from
    it, in percentage points. The options about PyTorch describe every PyTorch model named.
    """
    from mgn_convert.console import progress_bar
    from mgn_convert.datasets import read_dataset
    from mgn_convert.files import write_text
    from mgn_reid.evaluation.device import chosen_device
    from mgn_reid.evaluation.measure import evaluate
    from mgn_reid.evaluation.table import announce, show

    settings = _settings(options)
    sources = sources_from(models, options)
    device = chosen_device(device)
    dataset = read_dataset(folder, kind)
    announce(dataset)
    found = evaluate(
        sources,
        dataset,
        settings,
        device=device,
        flip=flip,
        batch=batch,
        skip_bad=skip_bad,
        bar=progress_bar,
    )
    show(found)
    if json_file is not None:
        write_text(json_file, json.dumps(found.to_json(), indent=1) + "\n")


def _settings(options: dict[str, Any]) -> Any:
    from mgn_convert.parity.retrieval import Expansion, Reranking, Settings

    return Settings(
        metric=options["metric"],
        protocol=options["protocol"],
        reranking=Reranking(options["k1"], options["k2"], options["weight"]) if options["rerank"] else None,
        expansion=Expansion() if options["expand"] else None,
    )
