"""The optimiser of a configuration, and which parameters learn how."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn
from torch.optim import SGD, Adam, Optimizer

from mgn_convert.errors import UsageError
from mgn_reid.training.sections import Optimiser

BASE_RATE = "base_rate"
"""Entry of a parameter group: its rate before the schedule's factor."""


def make_optimiser(settings: Optimiser, parameters: Iterable[tuple[str, nn.Parameter]]) -> Optimizer:
    """One parameter group for each rate and weight decay that `settings` give to the named parameters.

    Raises UsageError for a pattern that no name matches.
    """
    named = list(parameters)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        groups.setdefault(_choice(settings, name), []).append(parameter)
    for i, group in enumerate(settings.groups):
        check_patterns(group.match, (name for name, _ in named), f"optimiser.groups.{i}.match")
    listed = [
        {"params": members, "lr": rate, "weight_decay": decay, BASE_RATE: rate}
        for (rate, decay), members in groups.items()
    ]
    if settings.kind in ("adam", "amsgrad"):
        amsgrad = settings.kind == "amsgrad"
        return Adam(listed, settings.rate, settings.betas, settings.epsilon, amsgrad=amsgrad)
    return SGD(listed, settings.rate, settings.momentum, nesterov=settings.kind == "nesterov")


def set_rates(optimiser: Optimizer, factor: float) -> None:
    """Give every group its own rate times the schedule's factor."""
    for group in optimiser.param_groups:
        group["lr"] = group[BASE_RATE] * factor


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits any of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check_patterns(patterns: Iterable[str], names: Iterable[str], at: str) -> None:
    """Raises UsageError, saying `at` which key, unless each pattern fits some name."""
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UsageError(
                "a pattern fits no parameter",
                at=at,
                got=pattern,
                remedy=f"names such as {', '.join(known[:1] + known[-2:])}",
            )


def _choice(settings: Optimiser, name: str) -> tuple[float, float]:
    """(rate, weight decay) of one parameter."""
    rate, decay = settings.rate, settings.weight_decay
    if name.endswith(".bias"):
        rate *= settings.bias_factor
        decay = decay if settings.bias_weight_decay is None else settings.bias_weight_decay
    for group in settings.groups:
        if matches(name, group.match):
            return group.rate or rate, decay if group.weight_decay is None else group.weight_decay
    return rate, decay
