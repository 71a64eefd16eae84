"""The text half of a Darknet network: sections of key=value lines.

Upstream reads this file forgivingly: a word becomes 0, an unknown key is dropped, the first of two equal
keys wins. Here all of that is an error with its line. As upstream, blanks inside a line mean nothing, and a
comment is a line that starts with `#` or `;`; unlike upstream, CRLF line ends are fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mgn_convert.errors import FileFormatError

INT_MAX = 2**31 - 1
_BLANKS = str.maketrans("", "", " \t\r\v\f")
_NUMBER = re.compile(r"[0-9+\-.eE]+", re.ASCII)
_SHORT_FORMS = {
    "network": "net",
    "conv": "convolutional",
    "deconv": "deconvolutional",
    "conn": "connected",
    "max": "maxpool",
    "avg": "avgpool",
    "soft": "softmax",
}


@dataclass(frozen=True)
class Option:
    """One key=value line."""

    value: str
    line: int


@dataclass
class Section:
    """One [type] with its options. Reading an option through a method marks its key as known."""

    type: str
    file: str = ""
    line: int = 0
    options: dict[str, Option] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def error(self, what: str, *, key: str = "", because: str = "", remedy: str = "") -> FileFormatError:
        """A FileFormatError that points at the section, or at the line of `key` and its value."""
        option = self.options.get(key)
        line = option.line if option else self.line
        got = f"{key}={option.value}" if option else ""
        return FileFormatError(
            what, at=f"{self.file}:{line} [{self.type}]", because=because, got=got, remedy=remedy
        )

    def has(self, key: str) -> bool:
        """Whether the key is given; it counts as known from here on."""
        self._known.add(key)
        return key in self.options

    def text(self, key: str, default: str) -> str:
        """The value as it stands."""
        return self.options[key].value if self.has(key) else default

    def integer(self, key: str, default: int | None, *, least: int | None = 0) -> int:
        """A whole number of at least `least`; a `default` of None makes the key obligatory."""
        if not self.has(key):
            if default is None:
                raise self.error(f"[{self.type}] needs {key}=", remedy=f"add a line {key}=...")
            return default
        number = self._int(key, self.options[key].value)
        if least is not None and number < least:
            raise self.error(f"{key} is at least {least}", key=key, remedy="correct the number")
        return number

    def switch(self, key: str) -> bool:
        """0 or 1; 0 by default."""
        number = self.integer(key, 0)
        if number > 1:
            raise self.error(f"{key} is 0 or 1", key=key, remedy="correct the number")
        return number == 1

    def integers(self, key: str) -> tuple[int, ...]:
        """One or more whole numbers with commas between."""
        if not self.has(key):
            raise self.error(f"[{self.type}] needs {key}=", remedy=f"add a line {key}=... with layer numbers")
        return tuple(self._int(key, part) for part in self.options[key].value.split(","))

    def number(self, key: str, default: float) -> float:
        """A finite decimal number."""
        if not self.has(key):
            return default
        try:
            number = float(self.options[key].value)
            if not _NUMBER.fullmatch(self.options[key].value) or not abs(number) < float("inf"):
                raise ValueError
        except ValueError:
            raise self.error(f"{key} is a number", key=key, remedy="correct the value") from None
        return number

    def skip(self, keys: Iterable[str]) -> None:
        """Declare keys that mean nothing when a trained network runs."""
        self._known.update(keys)

    def refuse(self, keys: Iterable[str], because: str) -> None:
        """Raise FileFormatError when one of these keys is given with a value other than 0."""
        for key in keys:
            if self.has(key) and self.number(key, 0):
                raise self.error(f"{key} is not supported", key=key, because=because, remedy=f"remove {key}")

    def unknown(self) -> list[str]:
        """Keys that nothing has asked for."""
        return [key for key in self.options if key not in self._known]

    def _int(self, key: str, text: str) -> int:
        digits = text[1:] if text[:1] in ("-", "+") else text
        if not (digits.isascii() and digits.isdigit() and len(digits) < 11 and abs(int(text)) <= INT_MAX):
            raise self.error(f"{key} is a whole number", key=key, remedy="correct the value")
        return int(text)


def parse_cfg(text: str, file: str) -> list[Section]:
    """The sections of a cfg, in order, by their full type names. Raises FileFormatError."""
    sections: list[Section] = []
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        line = raw.translate(_BLANKS)
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if len(line) < 3 or line[-1] != "]":
                raise _bad(file, number, "a section line is [type]", line, "close the bracket")
            kind = line[1:-1]
            sections.append(Section(_SHORT_FORMS.get(kind, kind), file, number))
            continue
        _add_option(sections, file, number, line)
    if not sections:
        raise FileFormatError(f"{file} holds no section", because="a cfg starts with [net]")
    if sections[0].type != "net":
        raise sections[0].error(
            "the first section is [net]", because="it gives the size of the input", remedy="put [net] first"
        )
    return sections


def _add_option(sections: Sequence[Section], file: str, number: int, line: str) -> None:
    key, equals, value = line.partition("=")
    if not sections:
        raise _bad(file, number, "a key before the first section", line, "start the file with [net]")
    section = sections[-1]
    place = f"{number} [{section.type}]"
    if not (equals and key):
        raise _bad(file, place, "a line is key=value", line, "add what is missing, or # to comment it out")
    if not value:
        raise _bad(file, place, f"{key} has no value", line, "give the value, or remove the line")
    if key in section.options:
        first = section.options[key].line
        raise _bad(file, place, f"{key} is given twice", line, f"remove one; the first is on line {first}")
    section.options[key] = Option(value, number)


def _bad(file: str, place: int | str, what: str, line: str, remedy: str) -> FileFormatError:
    return FileFormatError(what, at=f"{file}:{place}", got=line[:120], remedy=remedy)


def read_cfg(path: Path) -> list[Section]:
    """`parse_cfg` of a file. Raises FileFormatError when it is missing or no text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if "\0" in text:
            raise FileFormatError(f"{path} is not text", because="it holds a zero byte")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path} is not text", because=str(error), remedy="give the .cfg file"
        ) from None
    except OSError as error:
        raise FileFormatError(f"cannot read {path}", because=error.strerror or str(error)) from None
    return parse_cfg(text, str(path))


def format_cfg(sections: Iterable[tuple[str, Mapping[str, object]]], heading: str) -> str:
    """Sections as text, each layer's under a comment with its number; `heading` is the comment on top."""
    lines = [f"# {line}" for line in heading.splitlines()] + [""]
    for index, (kind, options) in enumerate(sections, start=-1):
        lines += [f"# {index}"] if index >= 0 else []
        lines += [f"[{kind}]", *(f"{key}={_text(value)}" for key, value in options.items()), ""]
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(_text, value))
    return repr(value) if isinstance(value, float) else str(value)
