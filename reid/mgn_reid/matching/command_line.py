"""What the commands of matching share: the options of a network, and features from what they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mgn_convert.cli_options import run_options, source_from, source_options
from mgn_convert.errors import UsageError
from mgn_convert.formats import main_file
from mgn_reid.evaluation.device import chosen_device, device_option

if TYPE_CHECKING:
    from mgn_reid.matching.features import Features
    from mgn_reid.matching.network import Network

PATH = click.Path(path_type=Path)

_EMBEDDING = ("flip", "batch", "skip_bad")


def network_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that describe a network and how pictures go through it."""
    for option in reversed(
        (
            source_options,
            run_options,
            click.option("--flip", is_flag=True, help="Add the embedding of the mirror image."),
            click.option(
                "--batch", default=32, show_default=True, type=click.IntRange(1), help="Pictures at a time."
            ),
            click.option("--skip-bad", is_flag=True, help="Leave out unreadable pictures, with a warning."),
            device_option,
        )
    ):
        function = option(function)
    return function


@contextmanager
def opened(model: Path | None, options: dict[str, Any]) -> Iterator[Embedding]:
    """The network that `model` and the options of `network_options` describe; without one where it is None.

    Raises UsageError for a file that is not there, MissingEngineError for cuda where there is none.
    """
    from mgn_reid.matching.network import open_network

    chosen = {key: options.pop(key) for key in _EMBEDDING}
    device = options.pop("device")
    if model is None:
        yield Embedding(None, chosen)
        return
    if not model.exists():
        raise UsageError(f"there is no file {model}")
    with open_network(source_from([main_file(model)], options), chosen_device(device)) as network:
        yield Embedding(network, chosen)


class Embedding:
    """Makes features of what a command is given: pictures or a features file.

    network: None where only features files can be used. chosen: flip, batch and skip_bad.
    """

    def __init__(self, network: Network | None, chosen: dict[str, Any]) -> None:
        self.network, self._chosen = network, chosen

    def features(self, given: Sequence[Path], *, flip: bool = False, other_model: bool = False) -> Features:
        """The features in a file, or those of pictures and folders.

        flip: add the embedding of the mirror image even if the options do not say so. other_model: take a
        features file although another model file made it.
        Raises UsageError for features that the network or the options contradict, and pictures without one.
        """
        from mgn_convert.console import progress_bar
        from mgn_reid.matching.gallery import is_features_file

        if any(map(is_features_file, given)):
            return self._loaded(given, other_model)
        if self.network is None:
            if lost := [path for path in given if not path.exists()]:
                raise UsageError(f"there is no file {lost[0]}")
            raise UsageError("pictures need a network", got=str(given[0]), remedy="--model MODEL")
        chosen = {**self._chosen, "flip": flip or self._chosen["flip"]}
        with progress_bar("embedding") as advance:
            return self.network.features(given, advance=advance, **chosen)

    def _loaded(self, given: Sequence[Path], other_model: bool) -> Features:
        from mgn_reid.matching.features import Features

        if len(given) > 1:
            raise UsageError(
                "a features file comes alone", got=", ".join(map(str, given)), remedy="extract all into one"
            )
        features = Features.load(given[0])
        if self._chosen["flip"] and not features.record.flip:
            raise UsageError(
                f"{given[0]} has no mirror images' embeddings added", remedy="extract again with --flip"
            )
        if self.network is not None:
            self.network.record(features.record.flip).check_comparable(
                features.record, other_model=other_model
            )
        return features
