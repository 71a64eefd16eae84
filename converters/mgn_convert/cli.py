"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from mgn_convert.cli_options import (
    ErrorGroup,
    destination_options,
    grouped_files,
    run_options,
    source_from,
    source_options,
    sources_from,
    wishes_from,
)
from mgn_convert.errors import UsageError
from mgn_convert.formats import main_file

if TYPE_CHECKING:
    from mgn_convert.parity.retrieval_check import RetrievalCheck

PATH = click.Path(path_type=Path)


class _Group(ErrorGroup):
    """Makes a command of each pair of formats."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_conversions()])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        found = super().get_command(ctx, name)
        if found is None and name in (pairs := _conversions()):
            return _convert_command(name, *pairs[name])
        return found


def _conversions() -> dict[str, tuple[str, str]]:
    """Command name -> (from, to), for every reader with every writer."""
    from mgn_convert.formats import formats

    known = formats()
    pairs = [
        (a, b)
        for a in known
        for b in known
        if a != b and known[a].read is not None and known[b].write is not None
    ]
    return {f"{a}2{b}": (a, b) for a, b in pairs}


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mgn-convert")
@click.option("-v", "--verbose", is_flag=True, help="Say more about every step.")
def main(verbose: bool) -> None:
    """Carry trained PyTorch networks into Caffe, Darknet, ONNX and TensorFlow exactly, and prove it.

    Exit codes: 0 pass, 1 parity failed, 2 usage, 3 unsupported model, 4 unreadable file, 5 missing engine.
    """
    import logging

    logging.basicConfig(format="%(message)s", level=logging.INFO if verbose else logging.WARNING)
    logging.getLogger("mgn_convert").setLevel(logging.INFO)


def _convert_command(name: str, reader: str, writer: str) -> click.Command:
    from mgn_convert.formats import formats

    kind = formats()[writer]

    @click.command(name, help=f"Convert MODEL from {reader} to {writer}, verified in {writer}'s engine.")
    @click.argument("model", nargs=-1, type=PATH)
    @source_options
    @destination_options(kind)
    @click.option("-o", "--output-folder", "folder", type=PATH, default=Path(), help="Where the files go.")
    @click.option("--name", "stem", help="Stem of the files; the model's own by default.")
    @click.option("--fold-batch-norm", is_flag=True, help="Merge batch norms into convolutions.")
    @click.option("--no-verify", is_flag=True, help="Write without proving that the numbers hold.")
    @click.option("--tol", default=1e-4, show_default=True, help="Largest error of the verification.")
    @click.option("--images", type=PATH, help="Verify on the pictures of this folder, too.")
    def command(
        model: tuple[Path, ...],
        folder: Path,
        stem: str | None,
        fold_batch_norm: bool,
        no_verify: bool,
        tol: float,
        images: Path | None,
        **options: Any,
    ) -> None:
        from mgn_convert.console import progress, show_conversion, show_report
        from mgn_convert.pipeline import UnfaithfulError, convert

        dialect = options.pop("dialect", None)
        wishes = wishes_from(options)
        groups = grouped_files(model)
        if len(groups) > 1:
            raise UsageError("converts one model at a time", got=", ".join(map(str, model)))
        with progress() as tell:
            try:
                result = convert(
                    source_from(groups[0] if groups else [], options),
                    writer,
                    folder,
                    name=stem,
                    dialect=dialect,
                    wishes=wishes,
                    fold_batch_norm=fold_batch_norm,
                    verify=not no_verify,
                    tolerance=tol,
                    images=images,
                    progress=tell,
                )
            except UnfaithfulError as error:
                show_report(error.report)
                raise
        show_conversion(result)

    return command


@main.command()
@click.argument("models", nargs=-1, required=True, type=PATH)
@source_options
@run_options
@click.option("--tol", default=1e-4, show_default=True, help="Largest error that passes.")
@click.option("--layers", is_flag=True, help="Compare every layer and name the first one at fault.")
@click.option("--exact", is_flag=True, help="Demand an error like PyTorch's own against float64.")
@click.option("--images", type=PATH, help="Compare on the pictures of this folder, too.")
@click.option("--seed", default=0, show_default=True, help="Of the random inputs.")
@click.option("--retrieval", type=PATH, metavar="DIR", help="Compare who is found in this data set, too.")
@click.option("--kind", help="Layout of the data set, where its folder does not tell.")
@click.option("--flip", is_flag=True, help="Add the embeddings of the mirror images (--retrieval).")
@click.option("--rerank", is_flag=True, help="Score after k-reciprocal re-ranking (--retrieval).")
@click.option(
    "--retrieval-tol",
    type=click.FloatRange(0),
    help="How far rank-1, mAP and mINP may move, as fractions. Default: 0.001, a tenth of a point.",
)
@click.option("--json", "json_file", type=PATH, help="Write the report here.")
def verify(
    models: tuple[Path, ...],
    tol: float,
    layers: bool,
    exact: bool,
    images: Path | None,
    seed: int,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Compare candidates with a reference: REFERENCE CANDIDATE [CANDIDATE ...].

    The options about PyTorch describe every PyTorch model named. A weights file may follow its model; it is
    found by its stem otherwise. With --factory the factory is the reference.

    With --retrieval, a candidate also fails when its rank-1, mAP or mINP is further from the reference's than
    --retrieval-tol, or when a query finds another picture first although the reference holds the two apart by
    more than --tol (a cosine distance); closer ones are rounding, and only counted.
    """
    import json

    from mgn_convert.console import progress, show_report
    from mgn_convert.files import write_text
    from mgn_convert.parity.verify import verify_sources

    retrieval = _retrieval_check(options)
    sources = sources_from(models, options)
    with progress() as tell:
        report = verify_sources(
            sources[0],
            sources[1:],
            tolerance=tol,
            images=images,
            layers=layers,
            exact=exact,
            seed=seed,
            retrieval=retrieval,
            progress=tell,
        )
    show_report(report)
    if json_file is not None:
        write_text(json_file, json.dumps(report.to_json(), indent=1) + "\n")
    if not report.passed:
        sys.exit(1)


def _retrieval_check(options: dict[str, Any]) -> RetrievalCheck | None:
    """What --retrieval and its options ask for; None without it."""
    wished = {key: options[key] for key in ("kind", "flip", "rerank", "retrieval_tol")}
    if options["retrieval"] is None:
        lone = next((key for key, value in wished.items() if value not in (None, False)), None)
        if lone is not None:
            raise UsageError(f"--{lone.replace('_', '-')} belongs to --retrieval", remedy="--retrieval DIR")
        return None
    from mgn_convert.datasets import read_dataset
    from mgn_convert.parity.retrieval import Reranking, Settings
    from mgn_convert.parity.retrieval_check import TOLERANCE, RetrievalCheck

    tolerance = wished["retrieval_tol"]
    return RetrievalCheck(
        read_dataset(options["retrieval"], wished["kind"]),
        Settings(reranking=Reranking() if wished["rerank"] else None),
        wished["flip"],
        TOLERANCE if tolerance is None else tolerance,
    )


@main.command()
@click.argument("model", type=PATH)
@click.argument("pictures", nargs=-1, required=True, type=PATH)
@source_options
@run_options
@click.option("-o", "--embeddings", "target", type=PATH, required=True, help="The .npy file to write.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1), help="Pictures at a time.")
@click.option("--flip", is_flag=True, help="Add the embedding of the mirror image; to unit length.")
@click.option("--skip-bad", is_flag=True, help="Leave out files that are no pictures, with a warning each.")
def embed(
    model: Path,
    pictures: tuple[Path, ...],
    target: Path,
    batch: int,
    flip: bool,
    skip_bad: bool,
    **options: Any,
) -> None:
    """Run any artefact on PICTURES (files or folders) and save one embedding a row, as float32."""
    from mgn_convert.console import progress_bar
    from mgn_convert.embed import embed_pictures

    if not model.exists():
        raise UsageError(f"there is no file {model}")
    source = source_from([main_file(model)], options)
    with progress_bar("embedding") as advance:
        shape = embed_pictures(source, pictures, target, batch, advance, flip=flip, skip_bad=skip_bad)
    click.echo(f"{target}  {shape[0]} embeddings of {shape[1]}")


@main.command()
def ops() -> None:
    """List the networks, the formats with their dialects, and the ops that each can read and write."""
    from mgn_convert.console import show_ops

    show_ops()


@main.command()
def doctor() -> None:
    """Say which engines and tools this machine has, and how to get the others."""
    from mgn_convert.console import show_doctor

    sys.exit(0 if show_doctor() else 5)


@main.group()
def darknet() -> None:
    """The Darknet engine."""


@darknet.command("build")
@click.option(
    "--source", type=click.Path(path_type=Path, file_okay=False), help="Upstream checkout to build from."
)
@click.option(
    "--convolutions",
    type=click.Choice(["auto", "onednn", "openblas", "builtin"]),
    help="Library that convolves, from now on; auto: oneDNN if installed, else OpenBLAS, else builtin.",
)
def darknet_build(source: Path | None, convolutions: str | None) -> None:
    """Build the patched engine into the user's cache, from Debian's source package or a checkout."""
    from mgn_convert.formats.darknet.build import build
    from mgn_convert.formats.darknet.convolutions import choose, remember

    path = build(source, convolutions)
    if convolutions:
        remember(convolutions)
    click.echo(f"{path}  convolutions by {choose(convolutions).label}")


if __name__ == "__main__":
    cast(click.Command, main)()
