from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgn_convert.errors import FileFormatError, UsageError
from mgn_reid.matching.features import Features, Record
from mgn_reid.matching.index import Match
from mgn_reid.matching.ranking import Ranking
from mgn_reid.matching.sheet import save_sheets

GREEN, RED, GREY, BLUE = (38, 150, 70), (205, 45, 45), (165, 165, 165), (40, 80, 160)
PAPER, BESIDE = (255, 255, 255), (238, 238, 238)
COLOURS = {"one.png": (200, 10, 10), "two.png": (10, 200, 10), "three.png": (10, 10, 200)}


@pytest.fixture
def folder(tmp_path):
    """Pictures of one colour each, twice as high as wide; wide.png is twice as wide as high."""
    folder = tmp_path / "people"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (20, 40), colour).save(folder / name)
    Image.new("RGB", (40, 20), (90, 90, 0)).save(folder / "wide.png")
    return folder


def ranking_of(folder, *rows):
    """Each row: the query's name and identity, then those of its matches."""
    names = tuple(name for (name, _), *_ in rows)
    identities = np.array([identity for (_, identity), *_ in rows])
    embeddings = np.ones((len(rows), 1), np.float32)
    record = Record("small.pth", "", "", False, None)
    queries = Features(embeddings, names, identities, np.zeros_like(identities), folder, record)
    matches = [
        [Match(name, folder / name, identity, 1, place / 8) for place, (name, identity) in enumerate(found)]
        for _, *found in rows
    ]
    return Ranking(queries, matches, "cosine")


def corner(column, row=0):
    """Where a cell begins; column 0 holds the queries. Cells are 104 x 200, 114 x 246 apart."""
    return 20 + 114 * column + (16 if column else 0), 50 + 246 * row


def frame(sheet, column, row=0):
    """The colour of a frame, which is four pixels wide and has nothing beyond."""
    left, top = corner(column, row)
    ends = ((0, 0), (103, 0), (0, 199), (103, 199), (3, 100), (50, 196))
    (colour,) = {sheet.getpixel((left + x, top + y)) for x, y in ends}
    assert sheet.getpixel((left - 1, top)) == sheet.getpixel((left + 104, top)) == PAPER
    return colour


def middle(sheet, column, row=0):
    left, top = corner(column, row)
    return sheet.getpixel((left + 52, top + 100))


def test_a_sheet_shows_each_query_and_its_matches_in_order_with_frames_that_judge_them(folder, tmp_path):
    first = (("one.png", 5), ("two.png", 5), ("three.png", 6), ("wide.png", -1))
    second = (("three.png", -1), ("one.png", 5))
    target = tmp_path / "new" / "sheet.png"
    assert save_sheets(ranking_of(folder, first, second), target) == [target]
    sheet = Image.open(target)
    assert sheet.size == (2 * 20 + 4 * 104 + 3 * 10 + 16, 2 * 20 + 30 + 2 * (200 + 36) + 10)
    assert [frame(sheet, column) for column in range(4)] == [BLUE, GREEN, RED, GREY]
    shown = [middle(sheet, column) for column in range(4)]
    assert shown == [*COLOURS.values(), (90, 90, 0)]
    assert [frame(sheet, column, 1) for column in range(2)] == [BLUE, GREY]
    assert [middle(sheet, column, 1) for column in range(2)] == [COLOURS["three.png"], COLOURS["one.png"]]


def test_pictures_keep_their_shape_and_places_without_a_match_stay_empty(folder, tmp_path):
    ranking = ranking_of(folder, (("wide.png", 1), ("one.png", 1), ("two.png", 1)), (("one.png", 2),))
    sheet = Image.open(*save_sheets(ranking, tmp_path / "sheet.png"))
    left, top = corner(0)
    assert middle(sheet, 0) == (90, 90, 0)
    heights = [sheet.getpixel((left + 52, top + y)) == (90, 90, 0) for y in range(200)]
    assert sum(heights) == 48
    assert sheet.getpixel((left + 52, top + 30)) == sheet.getpixel((left + 52, top + 170)) == BESIDE
    assert {middle(sheet, 1, 1), middle(sheet, 2, 1)} == {PAPER}


def test_below_stand_place_and_distance_and_a_long_name_stays_within_its_column(folder, tmp_path):
    long = "w" * 60 + ".png"
    Image.new("RGB", (20, 40)).save(folder / long)
    sheet = Image.open(*save_sheets(ranking_of(folder, ((long, 1), (long, 1))), tmp_path / "sheet.png"))
    pixels = np.asarray(sheet)
    for column, lines in ((0, 1), (1, 2)):
        left, top = corner(column)
        texts = pixels[top + 200 : top + 236, left : left + 104]
        inked = [bool((texts[y : y + 16] < 200).any()) for y in (2, 19)]
        assert inked == [True, lines == 2]
        assert (pixels[top + 200 : top + 236, left + 104 : left + 110] == 255).all()


def test_a_name_on_two_lines_is_shown_on_one(folder, tmp_path):
    name = "two\nlines.png"
    (folder / "one.png").rename(folder / name)
    (saved,) = save_sheets(ranking_of(folder, ((name, 1), ("two.png", 1))), tmp_path / "sheet.png")
    assert Image.open(saved).size[1] == 306


def test_a_query_without_any_match_has_a_sheet_too(folder, tmp_path):
    sheet = Image.open(*save_sheets(ranking_of(folder, (("one.png", 1),)), tmp_path / "sheet.jpg"))
    assert sheet.format == "JPEG"
    assert sheet.size == (40 + 2 * 104 + 10 + 16, 306)


@pytest.mark.parametrize("name", ["sheets", "sheets.before"])
def test_a_folder_gets_a_sheet_for_each_query(folder, tmp_path, name):
    target = tmp_path / name
    if target.suffix:
        target.mkdir()
    rows = [(("one.png", 1), ("two.png", 1), ("two.png", 1))] * 9 + [(("two.png", 1), ("three.png", 2))]
    files = save_sheets(ranking_of(folder, *rows), target)
    assert files == [target / f"{number:02d}.png" for number in range(1, 11)]
    assert sorted(target.iterdir()) == files
    first, last = Image.open(files[0]), Image.open(files[-1])
    assert [sheet.size[0] for sheet in (first, last)] == [40 + 3 * 114 - 10 + 16, 40 + 2 * 114 - 10 + 16]
    assert (middle(first, 0), frame(first, 1)) == (COLOURS["one.png"], GREEN)
    assert (middle(last, 0), frame(last, 1)) == (COLOURS["two.png"], RED)


@pytest.mark.parametrize("suffix", [".psd", ".xbm", ".unknown"])
def test_a_suffix_of_no_picture_is_refused_with_those_there_are(folder, tmp_path, suffix):
    target = tmp_path / "new" / f"sheet{suffix}"
    with pytest.raises(UsageError, match=f"no sheet can be written as sheet{suffix}") as caught:
        save_sheets(ranking_of(folder, (("one.png", 1),)), target)
    assert caught.value.because == "suffixes are .jpg, .jpeg, .png, .bmp, .ppm"
    assert not target.parent.exists()


def test_more_than_a_hundred_queries_need_a_folder(folder, tmp_path):
    ranking = ranking_of(folder, *[(("one.png", 1),)] * 101)
    with pytest.raises(UsageError, match="too many queries for one sheet") as caught:
        save_sheets(ranking, tmp_path / "sheet.png")
    assert (caught.value.got, caught.value.remedy) == ("101", "--sheet FOLDER makes a sheet for each")
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


@pytest.mark.parametrize("name", ["sheet.png", "sheets"])
def test_more_than_a_hundred_places_fit_on_no_sheet(folder, tmp_path, name):
    ranking = ranking_of(folder, (("one.png", 1), *[("two.png", 1)] * 101))
    with pytest.raises(UsageError, match="too many places for one sheet") as caught:
        save_sheets(ranking, tmp_path / name)
    assert (caught.value.got, caught.value.remedy) == ("101", "fewer, by -k")


def test_pictures_that_were_moved_are_found_where_they_are_now(folder, tmp_path):
    ranking = ranking_of(folder, (("one.png", 1), ("two.png", 1)))
    moved = folder.rename(tmp_path / "moved")
    sheet = Image.open(*save_sheets(ranking, tmp_path / "sheet.png", moved))
    assert [middle(sheet, 0), middle(sheet, 1)] == [COLOURS["one.png"], COLOURS["two.png"]]


@pytest.mark.parametrize("pictures", [None, Path("elsewhere")])
def test_a_picture_that_is_not_there_is_named_and_nothing_is_written(folder, tmp_path, pictures):
    ranking = ranking_of(folder, (("one.png", 1), ("two.png", 1)), (("two.png", 1), ("three.png", 1)))
    (folder / "three.png").unlink()
    with pytest.raises(UsageError, match=r"there is no picture .*three.png") as caught:
        save_sheets(ranking, tmp_path / "sheets", pictures)
    assert caught.value.remedy == "--pictures FOLDER, where they are now"
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_a_file_that_is_no_picture_is_refused(folder, tmp_path):
    (folder / "two.png").write_text("no picture")
    with pytest.raises(FileFormatError, match=r"two.png is not a picture"):
        save_sheets(ranking_of(folder, (("one.png", 1), ("two.png", 1))), tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["people"]
