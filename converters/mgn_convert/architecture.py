"""How a network announces itself: through the entry-point group `mgn_convert.architectures`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mgn_convert.errors import UsageError
from mgn_convert.packaging import Clients
from mgn_convert.preprocess import Preprocessing

if TYPE_CHECKING:
    from torch import nn

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Option:
    """One choice of an architecture: its default, what it may be, and what it does."""

    default: Any
    choices: tuple[Any, ...]
    help: str


@dataclass(frozen=True)
class Architecture:
    """A registered network.

    build: options -> the network (made on torch's current default device).
    options: what `--arch-option key=value` may set.
    infer: checkpoint shapes -> the options that the keys tell (class count among them, which is no Option).
    ignored: key prefix -> why such checkpoint keys are not used.
    embedding: which vectors it is made of, in order, for people.
    clients: what those who load its files expect.
    output: the index or key of the embedding in what forward returns; None if it returns that alone.
    """

    name: str
    summary: str
    build: Callable[..., nn.Module]
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    options: Mapping[str, Option] = field(default_factory=dict)
    infer: Callable[[Shapes], Mapping[str, Any]] = lambda shapes: {}
    ignored: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    embedding: str = ""
    clients: Clients = field(default_factory=Clients)


def architectures() -> dict[str, Architecture]:
    """Every installed architecture by name."""
    from importlib.metadata import entry_points

    found = sorted(entry_points(group="mgn_convert.architectures"), key=lambda e: e.name)
    return {entry.name: entry.load() for entry in found}


def architecture(name: str) -> Architecture:
    """The architecture called `name`. Raises UsageError that lists those installed."""
    known = architectures()
    if name not in known:
        raise UsageError(
            f"there is no architecture {name!r}",
            remedy="--arch with one of " + ", ".join(known) if known else "",
        )
    return known[name]
