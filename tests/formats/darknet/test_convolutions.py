"""The library that the engine convolves with: which one is chosen, what is said of it, and its use."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from mgn_convert.cli import main
from mgn_convert.doctor import Finding, examine
from mgn_convert.errors import MissingEngineError, UsageError
from mgn_convert.formats.darknet import build, convolutions, library
from mgn_convert.formats.darknet.convolutions import VARIABLE, choose, remember

PACKAGES = {
    "onednn-cpu-gomp": ("2023.2.0", ["lib/libdnnl.so.3", "lib/libdnnl.so"]),
    "onednn-devel-cpu-gomp": ("2023.2.0", ["include/dnnl.h", "include/oneapi/dnnl/dnnl.h"]),
    "scipy-openblas32": (
        "0.3.1",
        ["site/openblas/include/cblas.h", "site/openblas/lib/libscipy_openblas.so"],
    ),
}
LIBRARIES = {"onednn": "libdnnl.so.3", "openblas": "libscipy_openblas.so", "builtin": None}
REPORT = """
import ctypes, sys
engine = ctypes.CDLL(sys.argv[1])
engine.dk_convolutions.restype = ctypes.c_char_p
print(engine.dk_convolutions().decode())
print(open("/proc/self/maps").read())
"""


@pytest.fixture(autouse=True)
def no_wishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own choices do not reach these tests."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(convolutions, "cache_folder", lambda: tmp_path / "wishes")


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with the three packages, and a header that is none of theirs."""
    prefix = tmp_path / "an environment"
    for name, (version, files) in PACKAGES.items():
        info = prefix / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text("".join(f"{os.path.relpath(file, 'site')},,\n" for file in files))
        for file in files:
            (prefix / file).parent.mkdir(parents=True, exist_ok=True)
            (prefix / file).write_text(file)
    (prefix / "include" / "omp.h").write_text("of another package")
    found = metadata.distribution

    def distribution(name: str) -> metadata.Distribution:
        if name not in PACKAGES:
            return found(name)
        for info in (prefix / "site").glob(f"{name.replace('-', '_')}-*.dist-info"):
            return metadata.Distribution.at(info)
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    return prefix


def remove(prefix: Path, name: str) -> None:
    for info in (prefix / "site").glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(info)


def test_auto_takes_the_fastest_that_is_installed(prefix: Path) -> None:
    assert choose().label == "oneDNN (onednn-cpu-gomp 2023.2.0)"
    remove(prefix, "onednn-devel-cpu-gomp")
    assert choose("auto").label == "OpenBLAS (scipy-openblas32 0.3.1)"
    remove(prefix, "scipy-openblas32")
    assert choose().label == "the engine's own gemm_blocked.c"


def test_a_package_without_its_library_is_not_installed(prefix: Path) -> None:
    (prefix / "lib" / "libdnnl.so.3").unlink()
    assert choose().name == "openblas"
    shutil.rmtree(prefix / "site" / "openblas" / "include")
    assert choose().name == "builtin"


def test_a_prefix_holds_the_library_and_nothing_else(prefix: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    choose("onednn").make_prefix(folder)
    assert sorted(p.name for p in (folder / "include").iterdir()) == ["oneapi"]
    assert (folder / "include/oneapi/dnnl/dnnl.h").read_text() == "include/oneapi/dnnl/dnnl.h"
    assert [p.read_text() for p in (folder / "lib").iterdir()] == ["lib/libdnnl.so.3"]
    folder = tmp_path / "another"
    choose("openblas").make_prefix(folder)
    assert (folder / "include/cblas.h").exists()
    assert [p.name for p in (folder / "lib").iterdir()] == ["libscipy_openblas.so"]


def test_the_word_then_the_environment_then_the_last_build(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember("openblas")
    assert choose().name == "openblas"
    monkeypatch.setenv(VARIABLE, "builtin")
    assert choose().name == "builtin"
    assert choose("onednn").name == "onednn"
    monkeypatch.setenv(VARIABLE, "")
    assert choose().name == "openblas"
    remember("auto")
    assert choose().name == "onednn"


def test_a_named_library_that_is_missing(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove(prefix, "onednn-devel-cpu-gomp")
    remove(prefix, "scipy-openblas32")
    with pytest.raises(MissingEngineError) as caught:
        choose("onednn")
    assert str(caught.value) == (
        "cannot build the Darknet engine with oneDNN: it is not installed\n"
        "  try      pip install onednn-devel-cpu-gomp"
    )
    monkeypatch.setenv(VARIABLE, "openblas")
    with pytest.raises(MissingEngineError) as caught:
        build.library()
    assert str(caught.value) == (
        "cannot build the Darknet engine with OpenBLAS: it is not installed\n"
        "  at       MGN_CONVERT_CONVOLUTIONS\n"
        "  try      pip install scipy-openblas32"
    )
    assert build.cached_library() is None


def test_another_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mkl")
    with pytest.raises(UsageError) as caught:
        choose()
    assert str(caught.value) == (
        "there are no convolutions 'mkl'\n"
        "  at       MGN_CONVERT_CONVOLUTIONS\n"
        "  try      one of auto, onednn, openblas, builtin"
    )


def finding() -> Finding:
    (found,) = (f for f in examine() if f.name == "convolution")
    return found


def test_doctor_says_what_convolves_and_what_would_be_faster(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolutions, "_exists_here", lambda name: True)
    monkeypatch.setattr(build, "cached_library", lambda: None)
    label = "oneDNN (onednn-cpu-gomp 2023.2.0)"
    assert finding() == Finding("convolution", True, label, optional=True)
    remember("builtin")
    own = "the engine's own gemm_blocked.c"
    faster = "mgn-convert darknet build --convolutions onednn"
    assert finding() == Finding("convolution", False, f"{own}; faster: {faster}", optional=True)
    monkeypatch.setenv(VARIABLE, "builtin")
    assert finding().detail == f"{own}; faster: MGN_CONVERT_CONVOLUTIONS=onednn"
    monkeypatch.setenv(VARIABLE, "auto")
    remove(prefix, "onednn-cpu-gomp")
    label = "OpenBLAS (scipy-openblas32 0.3.1)"
    assert finding().detail == f"{label}; faster: pip install onednn-devel-cpu-gomp"
    monkeypatch.setattr(convolutions, "_exists_here", lambda name: name == "openblas")
    assert finding().detail == label
    remove(prefix, "scipy-openblas32")
    assert finding().detail == f"{own}; faster: pip install scipy-openblas32"
    monkeypatch.setenv(VARIABLE, "onednn")
    assert not finding().present
    assert finding().detail.endswith("it is not installed; pip install onednn-devel-cpu-gomp")


def test_doctor_asks_the_built_engine() -> None:
    path = build.library()
    says = library.load_library(path).dk_convolutions().decode()
    assert finding().detail.endswith(f"; the engine says: {says}")


def test_doctor_survives_an_engine_that_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "libdarknet.so"
    broken.write_text("no library")
    monkeypatch.setattr(build, "cached_library", lambda: broken)
    assert "; but cannot load the Darknet engine: " in finding().detail


def test_the_command_says_what_it_built_with_and_keeps_to_it(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[Path | None, str | None]] = []

    def record(source: Path | None, word: str | None) -> Path:
        built.append((source, word))
        return Path("/cache/libdarknet.so")

    monkeypatch.setattr(build, "build", record)
    result = CliRunner().invoke(main, ["darknet", "build", "--convolutions", "openblas"])
    assert result.output == "/cache/libdarknet.so  convolutions by OpenBLAS (scipy-openblas32 0.3.1)\n"
    result = CliRunner().invoke(main, ["darknet", "build", "--source", str(prefix)])
    assert result.output == "/cache/libdarknet.so  convolutions by OpenBLAS (scipy-openblas32 0.3.1)\n"
    assert built == [(None, "openblas"), (prefix, None)]
    result = CliRunner().invoke(main, ["darknet", "build", "--convolutions", "mkl"])
    assert result.exit_code == 2


@pytest.mark.parametrize(("word", "file"), LIBRARIES.items())
def test_a_built_folder_works_elsewhere_with_its_own_library(
    word: str, file: str | None, tmp_path: Path
) -> None:
    if word == "onednn" and not convolutions._exists_here(word):
        pytest.skip("oneDNN is packaged for x86_64 only")
    folder = tmp_path / "on another machine"
    shutil.copytree(build.library(word).parent, folder)
    assert sorted(p.name for p in folder.iterdir()) == sorted(filter(None, ["libdarknet.so", file]))
    others = shutil.copytree(folder, tmp_path / "others")
    command = [sys.executable, "-c", REPORT, str(folder / "libdarknet.so")]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(others)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    title, _, maps = done.stdout.partition("\n")
    libraries = {line.split(None, 5)[5] for line in maps.splitlines() if line.count(" ") and ".so" in line}
    mapped = {path for path in libraries if Path(path).name in LIBRARIES.values()}
    assert mapped == ({str(folder / file)} if file else set())
    assert ("oneDNN 3." in title) == (word == "onednn")
    assert ("OpenBLAS" in title) == (word == "openblas")


def test_builds_with_all_libraries_live_in_one_process() -> None:
    words = [word for word in LIBRARIES if word == "builtin" or convolutions._exists_here(word)]
    paths = [build.library(word) for word in words]
    assert len(set(paths)) == len(words)
    titles = []
    for path in paths:
        engine = ctypes.CDLL(str(path))
        engine.dk_convolutions.restype = ctypes.c_char_p
        titles.append(engine.dk_convolutions())
    assert len(set(titles)) == len(words)
