"""What multiplies the matrices of convolutions: oneDNN, OpenBLAS, or the engine's own C file.

The libraries are files of installed Python packages, so nobody needs root for them; pyproject.toml says which
packages, and why these.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mgn_convert.errors import MissingEngineError, UsageError
from mgn_convert.formats.darknet.cache import cache_folder

WORDS = ("auto", "onednn", "openblas", "builtin")
VARIABLE = "MGN_CONVERT_CONVOLUTIONS"
_COMMAND = "mgn-convert darknet build --convolutions"


@dataclass(frozen=True)
class Convolutions:
    """One choice. label: library, package and version. links: what make_prefix makes, and where it leads."""

    name: str
    label: str
    links: tuple[tuple[str, Path], ...] = ()

    def make_prefix(self, folder: Path) -> None:
        """Fills `folder` with include/ and lib/ of this library, and of nothing else from its prefix."""
        for name, path in self.links:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(path)


@dataclass(frozen=True)
class _Library:
    """A library and its packages, of which `headers` brings `package`; paths are below their prefix."""

    title: str
    package: str
    headers: str
    include: str
    header: str
    file: str


BUILTIN = Convolutions("builtin", "the engine's own gemm_blocked.c")
_LIBRARIES = {
    "onednn": _Library(
        title="oneDNN",
        package="onednn-cpu-gomp",
        headers="onednn-devel-cpu-gomp",
        include="include/oneapi",
        header="include/oneapi/dnnl/dnnl.h",
        file="lib/libdnnl.so.3",
    ),
    "openblas": _Library(
        title="OpenBLAS",
        package="scipy-openblas32",
        headers="scipy-openblas32",
        include="include",
        header="include/cblas.h",
        file="lib/libscipy_openblas.so",
    ),
}


def choose(word: str | None = None) -> Convolutions:
    """The choice that `word` names, one of WORDS; auto is the fastest that is installed.

    Without a word: MGN_CONVERT_CONVOLUTIONS, else what remember() was told, else auto. Raises
    MissingEngineError when the library named is not installed, UsageError for another word.
    """
    word, at = (word, "") if word else _standing_wish()
    if word not in WORDS:
        raise UsageError(f"there are no convolutions {word!r}", at=at, remedy=f"one of {', '.join(WORDS)}")
    if word == "builtin":
        return BUILTIN
    if word == "auto":
        return _find("onednn") or _find("openblas") or BUILTIN
    if found := _find(word):
        return found
    what = f"cannot build the Darknet engine with {_LIBRARIES[word].title}: it is not installed"
    raise MissingEngineError(what, at=at, remedy=_install(word))


def remember(word: str) -> None:
    """Makes `word` the choice of every later process that is told nothing else."""
    path = _remembered()
    beside = path.with_suffix(".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(f"{word}\n")
    beside.replace(path)


def faster_than(chosen: Convolutions) -> str:
    """The command or variable that leads to a faster choice on this machine; empty when there is none."""
    for name in ("onednn", "openblas"):
        if chosen.name == name:
            break
        if _find(name):
            return f"{VARIABLE}={name}" if VARIABLE in os.environ else f"{_COMMAND} {name}"
        if _exists_here(name):
            return _install(name)
    return ""


def _standing_wish() -> tuple[str, str]:
    """The word of the environment or of remember(), and where it stands."""
    if word := os.environ.get(VARIABLE):
        return word, VARIABLE
    path = _remembered()
    return (path.read_text().strip(), str(path)) if path.exists() else ("auto", "")


def _remembered() -> Path:
    return cache_folder() / "convolutions"


def _find(name: str) -> Convolutions | None:
    wanted = _LIBRARIES[name]
    try:
        packages = [metadata.distribution(package) for package in (wanted.headers, wanted.package)]
    except metadata.PackageNotFoundError:
        return None
    header, library = _locate(packages, wanted.header), _locate(packages, wanted.file)
    if header is None or library is None:
        return None
    prefix = header.parents[wanted.header.count("/")]
    links = ((wanted.include, prefix / wanted.include), (wanted.file, library))
    return Convolutions(name, f"{wanted.title} ({wanted.package} {packages[1].version})", links)


def _locate(packages: Sequence[metadata.Distribution], ending: str) -> Path | None:
    """The file of the packages whose path ends so."""
    name = Path(ending).name
    for file in (f for package in packages for f in package.files or () if f.name == name):
        path = Path(str(file.locate())).parent.resolve() / name
        if path.match(ending) and path.exists():
            return path
    return None


def _exists_here(name: str) -> bool:
    """Whether packages are made for this kind of machine."""
    system = os.uname()
    return system.sysname == "Linux" and (name == "openblas" or system.machine == "x86_64")


def _install(name: str) -> str:
    return f"pip install {_LIBRARIES[name].headers}"
