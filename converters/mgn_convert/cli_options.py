"""What commands share: how they fail, and the options that describe a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mgn_convert.errors import MgnConvertError, UsageError
from mgn_convert.formats import Format, Source, format_of, main_file

if TYPE_CHECKING:
    from mgn_convert.packaging import Wishes


Function = Callable[..., Any]


class ErrorGroup(click.Group):
    """Turns our errors into one message and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MgnConvertError as error:
            click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
            ctx.exit(error.exit_code)


def source_options(function: Function) -> Function:
    """The options that describe a PyTorch model, collected into keyword arguments of `source_from`."""
    for option in reversed(
        (
            click.option("--arch", metavar="NAME", help="Network of a checkpoint; see `mgn-convert ops`."),
            click.option(
                "--arch-option",
                "arch_options",
                multiple=True,
                metavar="KEY=VALUE",
                help="Option of that network; repeatable.",
            ),
            click.option(
                "--factory",
                metavar="MODULE:CALLABLE",
                help="Function that makes the network, instead of --arch.",
            ),
            click.option(
                "--input-shape",
                metavar="C,H,W",
                help="Shape of one image, where the network does not tell.",
            ),
            click.option("--output", metavar="WHICH", help="Output to keep, by index or key."),
            click.option(
                "--trust-pickle", is_flag=True, help="Run the code inside a pickled checkpoint. Dangerous."
            ),
            click.option(
                "--engine",
                metavar="NAME",
                help="Engine for Caffe: opencv (default) or pycaffe; for Darknet: darknet (default), which "
                "prepares the network for inference, or darknet-plain, its reference.",
            ),
        )
    ):
        function = option(function)
    return function


def run_options(function: Function) -> Function:
    """The options of running a model, which `source_from` takes too."""
    for option in (
        click.option("--signature", metavar="NAME", help="Signature of a SavedModel to run."),
        click.option(
            "--threads",
            type=click.IntRange(1),
            help="Threads of a run, in Darknet and onnxruntime. Default: OMP_NUM_THREADS, else all cores.",
        ),
    ):
        function = option(function)
    return function


def source_from(files: Sequence[Path], options: dict[str, Any]) -> Source:
    """The model that `files` (main file, weights) and the options of `source_options` describe."""
    shape = None
    if options["input_shape"]:
        try:
            shape = tuple(int(n) for n in options["input_shape"].replace("x", ",").split(","))
        except ValueError:
            raise UsageError(
                "--input-shape wants C,H,W", got=options["input_shape"], remedy="--input-shape 3,384,128"
            ) from None
    pairs = {}
    for text in options["arch_options"]:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError("--arch-option wants KEY=VALUE", got=text, remedy="--arch-option pool=max")
        pairs[key] = value
    if not files and not options["factory"]:
        raise UsageError("there is no model to read", remedy="name a file, or --factory module:callable")
    return Source(
        files[0] if files else None,
        files[1] if len(files) > 1 else None,
        options["arch"],
        pairs,
        options["factory"],
        shape,
        options["output"],
        options["trust_pickle"],
        options["engine"],
        options.get("threads"),
        options.get("signature"),
    )


def sources_from(models: Sequence[Path], options: dict[str, Any]) -> list[Source]:
    """The models that a command line names; the options of `source_options` describe the PyTorch ones.

    A factory without a checkpoint is the first of them. Where none is PyTorch's, --output is for all.
    """
    described = [source_from(files, options) for files in grouped_files(models)]
    plain = [
        Source(s.path, s.weights, engine=s.engine, threads=s.threads, signature=s.signature)
        for s in described
    ]
    pytorch = [format_of(source).name == "pytorch" for source in plain]
    if not (options["factory"] or any(pytorch)):
        plain = [replace(source, output=options["output"]) for source in plain]
    sources = [d if own else p for d, p, own in zip(described, plain, pytorch, strict=True)]
    if options["factory"] and all(source.factory is None for source in sources):
        sources.insert(0, source_from([], options))
    return sources


def destination_options(kind: Format) -> Callable[[Function], Function]:
    """The options of a conversion that the format `kind` adds: dialects, names and processing."""
    options: list[Callable[[Function], Function]] = []
    if len(names := list(kind.dialects())) > 1:
        flag = f"--{kind.dialect_option}"
        options.append(click.option(flag, "dialect", type=click.Choice(names), help=f"Default: {names[0]}."))
    if kind.packages:
        options += _packaging_options()
    if kind.folder_main:
        options += _signature_options()

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _packaging_options() -> list[Callable[[Function], Function]]:
    """The options of formats that hold more than a network, collected into arguments of `wishes_from`."""
    return [
        click.option("--with-preprocessing", is_flag=True, help="Take RGB pictures of any size, 0..255."),
        click.option(
            "--with-postprocessing",
            is_flag=True,
            help="Add the embedding of the mirror image; to unit length.",
        ),
        click.option(
            "--resize",
            metavar="KIND",
            help="Resizing inside: bicubic or bilinear (Pillow's), bilinear-half-pixel, bilinear-tf1.",
        ),
        click.option("--embedding-order", metavar="NAME", help="Order of the embedding's parts."),
        click.option("--input-name", metavar="NAME", help="What the input is called."),
        click.option("--output-name", metavar="NAME", help="What the output is called."),
    ]


def _signature_options() -> list[Callable[[Function], Function]]:
    """The names that a SavedModel has beside those of its tensors."""
    return [
        click.option("--signature", metavar="NAME", help="A signature beside serving_default."),
        click.option("--signature-input", metavar="NAME", help="Key of the signatures' input."),
        click.option("--signature-output", metavar="NAME", help="Key of the signatures' output."),
    ]


def wishes_from(options: dict[str, Any]) -> Wishes | None:
    """What the options of `destination_options` ask for, taken out of `options`; None where it has none."""
    if "with_preprocessing" not in options:
        return None
    from mgn_convert.packaging import Names, Wishes

    names = Names(
        input=options.pop("input_name") or "",
        output=options.pop("output_name") or "",
        signature=options.pop("signature", None) or "",
        signature_input=options.pop("signature_input", None) or "",
        signature_output=options.pop("signature_output", None) or "",
    )
    return Wishes(
        names,
        options.pop("with_preprocessing"),
        options.pop("with_postprocessing"),
        options.pop("resize"),
        options.pop("embedding_order"),
    )


def grouped_files(files: Sequence[Path]) -> list[list[Path]]:
    """Files as given, each weights file joined to the model before it."""
    from mgn_convert.formats import formats

    companions = {suffix for f in formats().values() for suffix in f.companions}
    groups: list[list[Path]] = []
    for path in files:
        path = main_file(path)
        if path.suffix in companions:
            if not groups or len(groups[-1]) > 1:
                raise UsageError(f"{path} follows no model that it could belong to")
            groups[-1].append(path)
        else:
            groups.append([path])
    for path in files:
        if not path.exists():
            raise UsageError(f"there is no file {path}")
    return groups
