"""The network that a configuration describes, as training starts with it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Any

import torch

from mgn_convert.architecture import Architecture, architectures
from mgn_convert.errors import UsageError
from mgn_convert.preprocess import Preprocessing
from mgn_reid.models.pretrained import load_imagenet, load_weights
from mgn_reid.models.trainable import Trainable, trainable
from mgn_reid.training.sections import Config


@dataclass(frozen=True)
class Assembled:
    """A network on the CPU, and how its input is made.

    output: index of the embedding in what forward returns; None if it returns that alone.
    record: what its checkpoints tell about it, under `architecture`.
    told: what became of the weights that it starts from, if it starts from any.
    """

    network: Trainable
    preprocessing: Preprocessing
    output: int | None
    record: dict[str, Any]
    told: tuple[str, ...]


def preprocessing_of(config: Config) -> Preprocessing:
    """How pictures become the network's input. Raises UsageError for settings that contradict each other."""
    known = _known(config)
    size = config.data.size or _options(config, known).get("input_size") or _size(known.preprocessing)
    height, width = map(int, str(size).split("x"))
    resize = config.data.resize or known.preprocessing.resize
    return replace(known.preprocessing, height=height, width=width, resize=resize)


def assemble(config: Config, num_classes: int) -> Assembled:
    """Build the network and give it its start: drawn by the configuration's seed, or from a file.

    Raises UsageError for options that the network does not have, and what reading such a file raises.
    """
    known = _known(config)
    preprocessing = preprocessing_of(config)
    options = _options(config, known)
    if config.data.size is not None and "input_size" in known.options:
        if options.get("input_size", config.data.size) != config.data.size:
            raise UsageError(
                f"network.options.input_size={options['input_size']} contradicts data.size",
                got=config.data.size,
                remedy="one of the two",
            )
        options["input_size"] = config.data.size
    torch.manual_seed(config.seed)
    defaults = {key: option.default for key, option in known.options.items()}
    try:
        network = trainable(known.build(num_classes=num_classes, **{**defaults, **options}))
    except ValueError as error:
        raise UsageError(f"{known.name} cannot be built so", because=str(error)) from None
    network.reset_for_training()
    told: list[str] = []
    if config.start.imagenet is not None:
        told.append(str(load_imagenet(network, config.start.imagenet)))
    if config.start.weights is not None:
        told.append(str(load_weights(network, config.start.weights, num_classes)))
    output = None if known.output is None else int(known.output)
    record = {"name": known.name, "options": options, "preprocessing": preprocessing.to_json()}
    return Assembled(network, preprocessing, output, record, tuple(told))


def _known(config: Config) -> Architecture:
    found = architectures()
    name = config.network.name
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1, cutoff=0.4)
        raise UsageError(
            f"there is no network {name!r}",
            at="network.name",
            remedy=near[0] if near else "one of " + ", ".join(found),
        )
    return found[name]


def _options(config: Config, known: Architecture) -> dict[str, Any]:
    """The options that were chosen, as the network wants them."""
    chosen = {}
    for key, value in config.network.options.items():
        at = f"network.options.{key}"
        if key not in known.options:
            near = difflib.get_close_matches(key, known.options, n=1, cutoff=0.4)
            raise UsageError(
                f"{known.name} has no option {key!r}",
                at=at,
                remedy=near[0] if near else "one of " + ", ".join(known.options),
            )
        option = known.options[key]
        choices = {str(choice): choice for choice in option.choices}
        if choices and str(value) not in choices:
            raise UsageError(
                f"{known.name} does not take this", at=at, got=repr(value), remedy=" or ".join(choices)
            )
        if not choices and not isinstance(value, type(option.default)):
            raise UsageError(
                f"{known.name} does not take this",
                at=at,
                got=repr(value),
                remedy=f"a value such as {option.default}",
            )
        chosen[key] = choices.get(str(value), value)
    return chosen


def _size(preprocessing: Preprocessing) -> str:
    return f"{preprocessing.height}x{preprocessing.width}"
