"""The text of a cfg: what it says, and how each mistake in it is reported."""

import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.cfg import format_cfg, parse_cfg, read_cfg

GOOD = "[net]\nheight=4\n\n# a comment\n; another\n[conv]\r\n  filters = 8 \r\nname=a.b\n"


def test_sections_options_and_lines():
    net, conv = parse_cfg(GOOD, "x.cfg")
    assert (net.type, net.line, conv.type, conv.line) == ("net", 1, "convolutional", 6)
    assert conv.integer("filters", 1) == 8
    assert conv.text("name", "") == "a.b"
    assert conv.integer("size", 3) == 3
    assert conv.unknown() == []
    assert net.unknown() == ["height"]


BAD_TEXTS = {
    "key before section": ("a=1\n[net]\n", "a key before the first section", "x.cfg:1", "a=1"),
    "no equals sign": ("[net]\nheight\n", "a line is key=value", "x.cfg:2 [net]", "height"),
    "no key": ("[net]\n=4\n", "a line is key=value", "x.cfg:2 [net]", "=4"),
    "no value": ("[net]\nheight=\n", "height has no value", "x.cfg:2 [net]", "height="),
    "key twice": ("[net]\nheight=4\n\nheight=5\n", "height is given twice", "x.cfg:4 [net]", "height=5"),
    "open bracket": ("[net\n", "a section line is [type]", "x.cfg:1", "[net"),
    "empty section": ("[]\n", "a section line is [type]", "x.cfg:1", "[]"),
    "other first section": ("[conv]\n", "the first section is [net]", "x.cfg:1 [convolutional]", ""),
    "nothing": ("# only this\n", "x.cfg holds no section", "", ""),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_bad_texts(name):
    text, what, at, got = BAD_TEXTS[name]
    with pytest.raises(FileFormatError) as caught:
        parse_cfg(text, "x.cfg")
    assert (caught.value.what, caught.value.at, caught.value.got) == (what, at, got)
    assert caught.value.remedy or name == "nothing"


BAD_VALUES = {
    "word": ("abc", "filters is a whole number"),
    "decimal": ("8.0", "filters is a whole number"),
    "inline comment": ("8#big", "filters is a whole number"),
    "too large": ("2147483648", "filters is a whole number"),
    "hex": ("0x8", "filters is a whole number"),
    "underscore": ("1_0", "filters is a whole number"),
    "zero": ("0", "filters is at least 1"),
    "negative": ("-3", "filters is at least 1"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_whole_numbers(name):
    value, what = BAD_VALUES[name]
    section = parse_cfg(f"[net]\n[conv]\n\nfilters={value}\n", "x.cfg")[1]
    with pytest.raises(FileFormatError) as caught:
        section.integer("filters", 1, least=1)
    assert str(caught.value).splitlines()[:3] == [
        what,
        "  at       x.cfg:4 [convolutional]",
        f"  got      filters={value}",
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "0x1p3", "1_0", "one", "--1"])
def test_bad_numbers(value):
    section = parse_cfg(f"[net]\nalpha={value}\n", "x.cfg")[0]
    with pytest.raises(FileFormatError, match="alpha is a number"):
        section.number("alpha", 1)


def test_missing_keys_and_lists():
    section = parse_cfg("[net]\n[route]\nlayers=-1,x\n", "x.cfg")[1]
    with pytest.raises(FileFormatError, match="needs size="):
        section.integer("size", None)
    with pytest.raises(FileFormatError, match="layers is a whole number"):
        section.integers("layers")


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "net.cfg"
    with pytest.raises(FileFormatError, match="cannot read"):
        read_cfg(path)
    for content in (b"\xff\xfe\x00", b"[net]\0\n"):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="is not text"):
            read_cfg(path)
    path.write_bytes(b"\xef\xbb\xbf[net]\n")
    assert read_cfg(path)[0].type == "net"


def test_what_is_written_is_read_again():
    text = format_cfg([("net", {"height": 4}), ("route", {"layers": (0, 2), "alpha": -0.5})], "two\nlines")
    assert text == "# two\n# lines\n\n[net]\nheight=4\n\n# 0\n[route]\nlayers=0,2\nalpha=-0.5\n"
    route = parse_cfg(text, "x.cfg")[1]
    assert route.integers("layers") == (0, 2)
    assert route.number("alpha", 1) == -0.5
