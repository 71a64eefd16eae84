"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import click

from mgn_convert.cli_options import (
    ErrorGroup,
    destination_options,
    grouped_files,
    source_from,
    source_options,
    wishes_from,
)
from mgn_convert.errors import UsageError
from mgn_convert.formats import Source, main_file

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
@click.option("--signature", metavar="NAME", help="Signature of a SavedModel to run.")
@click.option("--tol", default=1e-4, show_default=True, help="Largest error that passes.")
@click.option("--layers", is_flag=True, help="Compare every layer and name the first one at fault.")
@click.option("--exact", is_flag=True, help="Demand an error like PyTorch's own against float64.")
@click.option("--images", type=PATH, help="Compare on the pictures of this folder, too.")
@click.option("--seed", default=0, show_default=True, help="Of the random inputs.")
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
    """
    import json

    from mgn_convert.console import progress, show_report
    from mgn_convert.files import write_text
    from mgn_convert.formats import format_of
    from mgn_convert.parity.verify import verify_sources

    sources = []
    for files in grouped_files(models):
        described = source_from(files, options)
        plain = Source(
            described.path, described.weights, engine=described.engine, signature=described.signature
        )
        sources.append(described if format_of(plain).name == "pytorch" else plain)
    if options["factory"] and all(source.factory is None for source in sources):
        sources.insert(0, source_from([], options))
    with progress() as tell:
        report = verify_sources(
            sources[0],
            sources[1:],
            tolerance=tol,
            images=images,
            layers=layers,
            exact=exact,
            seed=seed,
            progress=tell,
        )
    show_report(report)
    if json_file is not None:
        write_text(json_file, json.dumps(report.to_json(), indent=1) + "\n")
    if not report.passed:
        sys.exit(1)


@main.command()
@click.argument("model", type=PATH)
@click.argument("pictures", nargs=-1, required=True, type=PATH)
@source_options
@click.option("--signature", metavar="NAME", help="Signature of a SavedModel to run.")
@click.option("-o", "--embeddings", "target", type=PATH, required=True, help="The .npy file to write.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1), help="Pictures at a time.")
def embed(model: Path, pictures: tuple[Path, ...], target: Path, batch: int, **options: Any) -> None:
    """Run any artefact on PICTURES (files or folders) and save one embedding a row, as float32."""
    from mgn_convert.console import progress_bar
    from mgn_convert.embed import embed_pictures

    if not model.exists():
        raise UsageError(f"there is no file {model}")
    with progress_bar("embedding") as advance:
        shape = embed_pictures(source_from([main_file(model)], options), pictures, target, batch, advance)
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
def darknet_build(source: Path | None) -> None:
    """Build the patched engine into the user's cache, from Debian's source package or a checkout."""
    from mgn_convert.formats.darknet.build import build

    click.echo(str(build(source)))


if __name__ == "__main__":
    cast(click.Command, main)()
