"""Configurations: YAML of one's own or a recipe that is shipped, with overrides, checked key by key."""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mgn_convert.errors import FileFormatError, UsageError
from mgn_reid.training.sections import Config

RECIPES = files("mgn_reid.training") / "recipes"

_SCALARS = ("bool", "float", "int", "str")
_BOOL, _FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"


class _Loader(yaml.SafeLoader):
    """Plain YAML with the booleans and numbers of version 1.2: `on` is a word and 2e-4 a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in (_BOOL, _FLOAT)]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"^[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(?:inf|nan))$"),
    list("-+.0123456789"),
)


def recipes() -> tuple[str, ...]:
    """The names of the shipped recipes."""
    return tuple(sorted(p.name.removesuffix(".yaml") for p in RECIPES.iterdir() if p.name.endswith(".yaml")))


def load_config(source: Path | str, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a YAML file, or in the shipped recipe of that name.

    overrides: `key.sub=value`, the value as YAML has it; items of a list go by their number from 0, such as
    `losses.1.margin=0.3`. Raises UsageError, naming the key, for what cannot be set so; FileFormatError for a
    file that is no YAML.
    """
    content = _read(source)
    for override in overrides:
        _put(content, override)
    return _checked(content, str(source))


def _read(source: Path | str) -> dict[str, Any]:
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            text = path.read_text(encoding="utf8")
        except OSError as error:
            raise UsageError(f"cannot read {path}", because=error.strerror or str(error)) from None
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{path} is not YAML", because=str(error)) from None
    elif str(source) in recipes():
        text = (RECIPES / f"{source}.yaml").read_text(encoding="utf8")
    else:
        near = difflib.get_close_matches(str(source), recipes(), n=3, cutoff=0.4) or recipes()
        raise UsageError(
            f"there is no recipe {str(source)!r}",
            got="recipes are " + ", ".join(recipes()),
            remedy=" or ".join(near) + ", or a file of your own that ends in .yaml",
        )
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise FileFormatError(f"{source} is not YAML", because=" ".join(str(error).split())) from None
    if not isinstance(content, dict):
        raise FileFormatError(
            f"{source} is no configuration",
            because="a configuration is a mapping of keys to values",
            got=type(content).__name__,
        )
    return content


def _put(content: dict[str, Any], override: str) -> None:
    """Set one value in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UsageError("an override is KEY=VALUE", got=override, remedy="optimiser.rate=1e-4")
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UsageError(f"the value of {key} is not YAML", because=str(error), got=text) from None
    *parents, last = key.split(".")
    place: Any = content
    for i, part in enumerate(parents):
        step = _index(place, part, override)
        if isinstance(place, dict) and not isinstance(place.get(step), (dict, list)):
            place[step] = {}
        place = place[step]
        if not isinstance(place, (dict, list)):
            raise UsageError(f"cannot set {key}", because=f"{'.'.join(parents[: i + 1])} has no parts")
    place[_index(place, last, override)] = value


def _index(place: dict[str, Any] | list[Any], part: str, override: str) -> Any:
    if isinstance(place, dict):
        return part
    if part.isdecimal() and int(part) < len(place):
        return int(part)
    raise UsageError(
        f"cannot set {override}",
        because=f"{part!r} is no place of a list of {len(place)}",
        remedy=f"a number from 0 to {len(place) - 1}",
    )


def _checked(content: dict[str, Any], source: str) -> Config:
    """Strict as to types, in the sense of JSON: lists are tuples and text is a path, but 1 is not "1"."""
    try:
        return Config.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        raise _refusal(error.errors()[0], source) from None


def _refusal(error: ErrorDetails, source: str) -> UsageError:
    """One of pydantic's findings in our words."""
    path, keys = _place(error["loc"])
    kind, got, remedy = error["type"], json.dumps(error["input"]), ""
    because = error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        because, remedy = "there is no such key", _near(path[-1], keys)
    elif kind == "union_tag_invalid":
        context = error["ctx"]
        expected = context["expected_tags"].replace("'", "").split(", ")
        path, got, remedy = [*path, "kind"], context["tag"], _near(context["tag"], expected)
        because = "there is no such kind"
    elif not path or kind in ("missing", "union_tag_not_found"):
        got = ""
    return UsageError(f"{source} cannot be used", at=".".join(path), because=because, got=got, remedy=remedy)


def _near(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return found[0] if found else "one of " + ", ".join(known)


def _place(location: Sequence[int | str]) -> tuple[list[str], list[str]]:
    """The keys that lead to an error, without pydantic's names of alternatives; and the keys known there."""
    models: list[Any] = [Config]
    path: list[str] = []
    keys: list[str] = []
    for part in location:
        named = [m for m in models if isinstance(part, str) and part in _tags(m)]
        if named:
            models = named
            continue
        if not models and part in _SCALARS:
            continue
        keys = [key for m in models for key in m.model_fields]
        fields = [m.model_fields[part] for m in models if isinstance(part, str) and part in m.model_fields]
        models = [m for f in fields for m in _models(f.annotation)] if not isinstance(part, int) else models
        path.append(str(part))
    return path, sorted(set(keys))


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return typing.get_args(kind.annotation) if kind is not None else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every model that an annotation names."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in typing.get_args(annotation) for model in _models(argument)]
