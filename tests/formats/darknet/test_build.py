"""Building the engine: where it goes, from which source, and what is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from darknet_source import unpacked

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.formats.darknet import apt, build, cache, upstream
from mgn_convert.formats.darknet.library import load_library

DEB822 = """# a comment
Types: deb
URIs: http://mirror.example/debian
Suites: stable
Components: main
Signed-By: /usr/share/keyrings/some.gpg

Types: deb deb-src
URIs: http://other.example/debian
Suites: stable
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: stable
Components: main
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The pinned upstream source, unpacked."""
    return unpacked(tmp_path / "upstream")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_library_is_built_once() -> None:
    path = build.library()
    made = path.stat().st_mtime_ns
    assert path.name == "libdarknet.so"
    assert build.library() == path
    assert path.stat().st_mtime_ns == made


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGN_CONVERT_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache.cache_folder() == Path("/own/darknet")
    monkeypatch.delenv("MGN_CONVERT_CACHE")
    assert cache.cache_folder() == Path("/shared/mgn-convert/darknet")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.cache_folder() == Path("/home/someone/.cache/mgn-convert/darknet")


def test_a_library_in_use_is_replaced_and_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"the first build")
    (tmp_path / "second").write_bytes(b"another")
    target = tmp_path / "made" / "libdarknet.so"
    cache.put(tmp_path / "first", target)
    with target.open("rb") as in_use:
        cache.put(tmp_path / "second", target)
        assert in_use.read() == b"the first build"
    assert target.read_bytes() == b"another"
    assert list(target.parent.iterdir()) == [target]


def test_another_patch_is_another_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "darknet_patch"
    shutil.copytree(upstream.patch_folder(), folder)
    key = build._key.__wrapped__
    first = key("builtin")
    monkeypatch.setattr(build, "patch_folder", lambda: folder)
    assert key("builtin") == first
    (folder / "README.md").write_text("other words")
    (folder / "another folder").mkdir()
    (folder / "another folder" / "file.c").touch()
    assert key("builtin") == first
    assert key("another library") != first
    with (folder / "src" / "api.c").open("a") as file:
        file.write("/* changed */\n")
    assert key("builtin") != first


def test_a_checkout_is_built_and_left_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGN_CONVERT_CACHE", str(tmp_path / "cache"))
    before = contents(source)
    path = build.build(source)
    assert path == build.library()
    assert path.is_relative_to(tmp_path / "cache")
    assert load_library(path).dk_layer_count
    assert contents(source) == before


def test_a_changed_upstream_is_refused(source: Path) -> None:
    gemm = source / "src" / "gemm.c"
    gemm.write_text(gemm.read_text().replace("C[i*ldc + j] *= BETA;", "C[i*ldc + j] = BETA*C[i*ldc + j];"))
    with pytest.raises(MissingEngineError, match=r"patch gemm-blocked\.patch does not apply"):
        upstream.apply_patches(source)


def test_a_shifted_upstream_is_refused(source: Path) -> None:
    gemm = source / "src" / "gemm.c"
    gemm.write_text("\n\n\n" + gemm.read_text())
    with pytest.raises(MissingEngineError, match=r"patch gemm-blocked\.patch does not apply"):
        upstream.apply_patches(source)


def test_a_folder_that_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no Darknet checkout"):
        build.build(tmp_path)


def test_another_tarball_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGN_CONVERT_CACHE", str(tmp_path))

    def fetch(package: str, pattern: str, state: Path) -> Path:
        assert (package, pattern) == ("darknet", "darknet_*.orig.tar.xz")
        (state / "darknet_1.orig.tar.xz").write_bytes(b"something else")
        return state / "darknet_1.orig.tar.xz"

    monkeypatch.setattr(apt, "fetch_source", fetch)
    with pytest.raises(FileFormatError, match="is not the pinned one"):
        build.library()
    assert not list(tmp_path.rglob("*.tar.xz"))


def test_missing_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingEngineError, match="patch is missing"):
        upstream.apply_patches(tmp_path)
    with pytest.raises(MissingEngineError, match="gcc is missing"):
        build._key.__wrapped__("builtin")
    with pytest.raises(MissingEngineError, match="this machine has no apt-get"):
        apt.fetch_source("darknet", "*.xz", tmp_path)


def test_sources_of_both_kinds_become_source_entries(tmp_path: Path) -> None:
    etc, out = tmp_path / "etc", tmp_path / "out"
    (etc / "sources.list.d").mkdir(parents=True)
    (etc / "sources.list").write_text(
        "# deb http://no.example x main\n deb [arch=amd64] http://a.example s main\n"
    )
    (etc / "sources.list.d" / "b.list").write_text(
        "deb-src http://b.example s main\ndeb http://b.example s main"
    )
    (etc / "sources.list.d" / "c.sources").write_text(DEB822)
    apt.write_source_entries(etc, out)
    assert (out / "lines.list").read_text() == (
        "deb-src [arch=amd64] http://a.example s main\ndeb-src http://b.example s main\n"
    )
    text = (out / "0.sources").read_text()
    assert re.findall(r"(?m)^Types: .*$", text) == ["Types: deb-src", "Types: deb-src"]
    assert "off.example" not in text
    assert "Signed-By: /usr/share/keyrings/some.gpg" in text


def test_every_patch_says_why_and_touches_little() -> None:
    folder = upstream.patch_folder()
    names = (folder / "series").read_text().split()
    assert sorted(names) == sorted(p.name for p in folder.glob("*.patch"))
    for name in names:
        why, _, diff = (folder / name).read_text().partition("\n\n")
        assert why.startswith("Why: ")
        assert diff.startswith("--- a/")
        assert not re.search(r"(?m)^\+\+\+ b/(Makefile|README\.md|python/)", diff)
        assert len(diff.splitlines()) < 60
