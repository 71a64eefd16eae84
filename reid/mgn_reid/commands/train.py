"""mgn-reid train."""

from __future__ import annotations

from pathlib import Path

import click

from mgn_convert.errors import MissingEngineError


@click.command("train")
@click.argument("config")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for checkpoints, log and curves. Default: out/ and the configuration's name.",
)
@click.option("--resume", is_flag=True, help="Go on from OUT/last.pth, if it is there.")
@click.option("--overwrite", is_flag=True, help="Remove the training that OUT holds.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read, and name them.")
@click.pass_context
def command(
    context: click.Context,
    config: str,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    overwrite: bool,
    skip_bad: bool,
) -> None:
    """Train a network as CONFIG says: a YAML file, or the name of a shipped recipe.

    KEY=VALUE sets single values: data.folder=DIR, losses.1.margin=0.3. A wrong recipe name lists the recipes.

    On several GPUs or machines: torchrun --nproc-per-node N --no-python mgn-reid train ...

    SIGTERM and Ctrl-C let the iteration finish and save; --resume then goes on to the same numbers. Exit code
    143 or 130 in that case.
    """
    try:
        from mgn_reid.training.config import load_config
        from mgn_reid.training.trainer import train
    except ModuleNotFoundError as error:
        raise MissingEngineError(
            "training needs more packages",
            because=f"there is no {error.name}",
            remedy="pip install 'mgn-convert[train]'",
        ) from None
    settings = load_config(config, overrides)
    outcome = train(
        settings,
        out or Path("out") / Path(config).stem,
        resume=resume,
        overwrite=overwrite,
        skip_bad=skip_bad,
    )
    if outcome.signal is not None:
        context.exit(128 + outcome.signal)
