"""Contact sheets: a row for each query, the query first, then its matches in order.

A green frame is a hit, a red one a miss, a grey one of unknown identity; below stand place and distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mgn_convert.errors import UsageError
from mgn_convert.files import staged
from mgn_convert.preprocess import IMAGE_SUFFIXES, read_picture
from mgn_reid.matching.index import Match
from mgn_reid.matching.ranking import Ranking

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

ROOM = 100
"""Queries on one sheet, and places of each, at most."""

_WIDTH, _HEIGHT = 96, 192
_FRAME, _GAP, _MARGIN = 4, 10, 20
_CAPTION, _HEADER, _AFTER_QUERY = 36, 30, 16
_TEXT = 13
_PAPER, _BESIDE, _INK, _PALE = (255, 255, 255), (238, 238, 238), (34, 34, 34), (110, 110, 110)
_COLOURS = {True: (38, 150, 70), False: (205, 45, 45), None: (165, 165, 165)}
_QUERY_FRAME = (40, 80, 160)


def save_sheets(ranking: Ranking, target: Path, pictures: Path | None = None) -> list[Path]:
    """Save one sheet with all queries as `target`, or 1.png and so on in it, one for each query.

    The latter where it is a folder or has no suffix. pictures: where pictures are that are no longer where
    they were extracted. Returns the files. Raises UsageError for an unknown suffix, more than there is ROOM
    for or a picture that is not there, FileFormatError for one that cannot be read; then nothing is written.
    """
    rows = list(range(len(ranking.queries)))
    _check_room(max(map(len, ranking.matches)), "places", "fewer, by -k")
    if target.is_dir() or not target.suffix:
        named = [(f"{row + 1:0{len(str(len(rows)))}d}.png", [row]) for row in rows]
        return _saved(ranking, target, named, pictures)
    if target.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(
            f"no sheet can be written as {target.name}",
            because=f"suffixes are {', '.join(IMAGE_SUFFIXES)}",
            remedy="--sheet FILE.png",
        )
    _check_room(len(rows), "queries", "--sheet FOLDER makes a sheet for each")
    return _saved(ranking, target.parent, [(target.name, rows)], pictures)


def _check_room(count: int, what: str, remedy: str) -> None:
    if count > ROOM:
        raise UsageError(
            f"too many {what} for one sheet",
            because=f"it has room for {ROOM}",
            got=str(count),
            remedy=remedy,
        )


def _saved(
    ranking: Ranking, folder: Path, named: Sequence[tuple[str, list[int]]], pictures: Path | None
) -> list[Path]:
    with staged(folder) as (scratch, publish):
        for name, rows in named:
            _drawn(ranking, rows, pictures).save(scratch / name)
        publish()
    return [folder / name for name, _ in named]


def _drawn(ranking: Ranking, rows: Sequence[int], pictures: Path | None) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    columns = max(1, *(len(ranking.matches[row]) for row in rows))
    line = _HEIGHT + 2 * _FRAME + _CAPTION + _GAP
    step = _WIDTH + 2 * _FRAME + _GAP
    width = 2 * _MARGIN + _AFTER_QUERY + (columns + 1) * step - _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + _HEADER + len(rows) * line - _GAP), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    first = _MARGIN + step + _AFTER_QUERY
    pen.text((_MARGIN, _MARGIN), "query", _INK, font)
    title = f"nearest in the gallery by {ranking.distance} distance; green: same person, red: another"
    title = _fitted(pen, title, font, width - first - _MARGIN)
    pen.text((first, _MARGIN), title, _INK, font)
    for number, row in enumerate(rows):
        top = _MARGIN + _HEADER + number * line
        query = ranking.queries
        picture = _found(query.picture(row), query.names[row], pictures)
        _cell(sheet, pen, (_MARGIN, top), picture, _QUERY_FRAME, [_legible(query.names[row])], font)
        for place, match in enumerate(ranking.matches[row]):
            frame = _COLOURS[ranking.hit(row, match)]
            picture = _found(match.picture, match.name, pictures)
            _cell(sheet, pen, (first + place * step, top), picture, frame, _caption(place, match), font)
    return sheet


def _caption(place: int, match: Match) -> list[str]:
    return [f"{place + 1}:  {match.distance:.3f}", _legible(match.name)]


def _legible(name: str) -> str:
    """A file's name without folders and suffix, on one line."""
    return "".join(letter if letter.isprintable() else " " for letter in Path(name).stem)


def _cell(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    picture: Path,
    frame: tuple[int, int, int],
    captions: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    from PIL import Image, ImageOps

    left, top = corner
    right, bottom = left + _WIDTH + 2 * _FRAME, top + _HEIGHT + 2 * _FRAME
    pen.rectangle((left, top, right - 1, bottom - 1), frame)
    inside = ImageOps.pad(Image.fromarray(read_picture(picture)), (_WIDTH, _HEIGHT), color=_BESIDE)
    sheet.paste(inside, (left + _FRAME, top + _FRAME))
    for number, text in enumerate(captions):
        colour = _PALE if number else _INK
        pen.text((left, bottom + 3 + 16 * number), _fitted(pen, text, font, right - left), colour, font)


def _fitted(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    """The text, or as much of it as there is room for."""
    shown = text
    while text and pen.textlength(shown, font) > width:
        text = text[:-1]
        shown = text + "…"
    return shown


def _found(picture: Path, name: str, pictures: Path | None) -> Path:
    for path in (picture, *([pictures / name] if pictures is not None else [])):
        if path.is_file():
            return path
    raise UsageError(
        f"there is no picture {picture}",
        because="a contact sheet shows the pictures, which were there when their embeddings were made",
        remedy="--pictures FOLDER, where they are now",
    )
