"""A start from other weights: ImageNet's, or a checkpoint of the same network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.pytorch import checkpoint
from mgn_convert.formats.pytorch.keys import compare
from mgn_reid.models.trainable import Trainable, outline, trainable

_ADDED = (".IN.", ".BN.", ".se.")
"""What blocks of a network may have that a plain ResNet's lack."""

_SHOWN = 5


@dataclass(frozen=True)
class Start:
    """What a file gave to a network.

    loaded: how many of the network's tensors were set.
    random: modules that keep their random start.
    note: what else is to be known.
    """

    path: Path
    loaded: int
    random: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        rest = f"; random: {', '.join(self.random)}" if self.random else ""
        return f"{self.loaded} tensors from {self.path}{rest}" + (f"; {self.note}" if self.note else "")


def load_imagenet(network: nn.Module, path: Path) -> Start:
    """Give the network the weights of torchvision's ResNet for ImageNet, wherever it has such a module.

    Its classifier `fc` is not used. Normalisations with IBN-a take those of a ResNet with IBN-a, and keep
    their random start beside a plain one. Raises FileFormatError for a file that is no checkpoint or is of a
    ResNet of another depth or width; the network is then as before.
    """
    known = trainable(network)
    own, given = known.state_dict(), _tensors(path)[-1]
    modules = known.imagenet_sources()
    sources = {
        key: source + key.removeprefix(module)
        for module, source in modules.items()
        for key in own
        if key.startswith(f"{module}.")
    }
    fitting = {key: given[source] for key, source in sources.items() if source in given}
    _check(
        path,
        missing=[s for s in sources.values() if s not in given and not any(part in s for part in _ADDED)],
        unexpected=given.keys()
        - set(sources.values())
        - _replaced(sources.values())
        - {"fc.weight", "fc.bias"},
        misshaped=_misshaped({sources[key]: (t, own[key]) for key, t in fitting.items()}),
        remedy="torchvision's weights for a ResNet of the network's depth and width",
    )
    known.load_state_dict(fitting, strict=False)
    inside = tuple(f"{module}." for module in modules)
    rest = [key for key in own if key not in fitting and not _counts(key)]
    names = [key.rpartition(".")[0] if key.startswith(inside) else key.partition(".")[0] for key in rest]
    return Start(path, len(fitting), tuple(dict.fromkeys(names)))


def load_weights(network: nn.Module, path: Path, num_classes: int) -> Start:
    """Give the network a checkpoint of its own kind, to go on from there with other data.

    num_classes: identities in these data. Heads that the file lacks, or has for another number of classes,
    keep their random start; `Start.random` names them. Raises FileFormatError for a file that is no
    checkpoint and for any other difference; the network is then as before.
    """
    known = trainable(network)
    own = known.state_dict()
    given = max(_tensors(path), key=lambda tensors: len(tensors.keys() & own.keys()))
    report = compare(given, own, known.ignored)
    heads = _heads(known)
    another = {
        key: shapes
        for key, shapes in (report.misshaped or {}).items()
        if key in heads and shapes[0][1:] == shapes[1][1:]
    }
    pairs = {key: (given[key], own[key]) for key in report.used if key not in another}
    _check(
        path,
        missing=set(report.absent) - heads,
        unexpected=report.unexpected,
        misshaped=_misshaped(pairs),
        remedy="a checkpoint of this network, with the options that it was trained with",
    )
    known.load_state_dict({key: tensor for key, (tensor, _) in pairs.items()}, strict=False)
    random = [key.rpartition(".")[0] or key for key in own if key in heads and key not in pairs]
    counts = {shapes[0][0] for shapes in another.values()}
    note = f"its heads are for {counts.pop()} identities, these data have {num_classes}" if counts else ""
    return Start(path, len(pairs), tuple(dict.fromkeys(random)), note)


def _tensors(path: Path) -> list[dict[str, Tensor]]:
    """The checkpoint's tensors, with and without the prefixes that all keys share."""
    found = checkpoint.load(path)
    assert not isinstance(found, nn.Module)  # which only a trusted pickle gives
    return checkpoint.without_prefixes(found)


def _heads(network: Trainable) -> set[str]:
    """Names of the parameters that belong to the network's class layers."""
    outlined = outline(network)
    ends = [t for s in outlined.outputs.classified.values() for t in (s.weight, s.bias)]
    return {name for name, p in outlined.parameters.items() if any(p is end for end in ends)}


def _replaced(sources: Collection[str]) -> set[str]:
    """Keys of a plain ResNet's normalisations in whose place the network has IBN-a."""
    norms = {source.partition("IN.")[0] for source in sources if ".IN." in source}
    return {norm + leaf for norm in norms for leaf in ("weight", "bias", "running_mean", "running_var")}


def _misshaped(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> list[str]:
    return [
        f"{key} is {list(given.shape)}, wanted {list(own.shape)}"
        for key, (given, own) in pairs.items()
        if given.shape != own.shape
    ]


def _check(
    path: Path, missing: Collection[str], unexpected: Collection[str], misshaped: list[str], remedy: str
) -> None:
    wrong = []
    for what, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped)):
        keys = sorted({key for key in found if not _counts(key)})
        if keys:
            more = f", ... ({len(keys) - _SHOWN} more)" if len(keys) > _SHOWN else ""
            wrong.append(f"{len(keys)} {what}: {', '.join(keys[:_SHOWN])}{more}")
    if wrong:
        raise FileFormatError(
            f"{path} does not fit the network", got="\n           ".join(wrong), remedy=remedy
        )


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")
