"""The options of an architecture: its defaults, what a checkpoint's keys tell, and what the user says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mgn_convert.architecture import Architecture, Option
from mgn_convert.errors import UsageError
from mgn_convert.formats import Source


def options_of(source: Source, known: Architecture, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Options for `build`: defaults, then what the keys tell, then what the user says.

    Raises UsageError for an unknown option, a value outside its choices, or one that the keys contradict.
    """
    told = dict(known.infer({k: tuple(v.shape) for k, v in tensors.items()}))
    chosen: dict[str, Any] = {}
    if source.input_shape is not None and "input_size" in known.options:
        chosen["input_size"] = "x".join(map(str, source.input_shape[1:]))
    for key, text in source.options.items():
        if key == "input_size" and chosen.get(key, text) != text:
            raise UsageError(f"--arch-option input_size={text} contradicts --input-shape", got=chosen[key])
        if key not in known.options:
            raise UsageError(
                f"the architecture {known.name} has no option {key!r}",
                remedy=f"one of {', '.join(known.options)}",
            )
        option = known.options[key]
        chosen[key] = _choice(key, option, text)
        if key in told and told[key] != chosen[key]:
            raise UsageError(
                f"--arch-option {key}={text} contradicts the checkpoint",
                because=f"its keys tell {key}={told[key]}",
                remedy=f"no --arch-option {key}",
            )
    return {**{k: option.default for k, option in known.options.items()}, **told, **chosen}


def _choice(key: str, option: Option, text: str) -> Any:
    """The choice that `text` names; any value of the default's type where the choices are open."""
    named = {str(choice): choice for choice in option.choices}
    if text in named:
        return named[text]
    try:
        if not named:
            return type(option.default)(text)
    except ValueError:
        pass
    wanted = f"one of {', '.join(named)}" if named else f"a value such as {option.default}"
    raise UsageError(f"--arch-option {key} cannot be {text!r}", remedy=wanted)
