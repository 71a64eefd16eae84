"""The options that describe a model, shared by every command that takes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mgn_convert.errors import UsageError
from mgn_convert.formats import Source


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
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
            click.option("--engine", metavar="NAME", help="Engine for Caffe: opencv (default) or pycaffe."),
        )
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
    )


def grouped_files(files: Sequence[Path]) -> list[list[Path]]:
    """Files as given, each weights file joined to the model before it."""
    from mgn_convert.formats import formats

    companions = {suffix for f in formats().values() for suffix in f.companions}
    groups: list[list[Path]] = []
    for path in files:
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
