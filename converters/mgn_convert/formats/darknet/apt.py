"""Fetches a Debian source package as an ordinary user, in a private state folder beside the machine's apt."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from mgn_convert.errors import MissingEngineError

SOURCES = Path("/etc/apt")


def fetch_source(package: str, pattern: str, state: Path) -> Path:
    """Downloads `package` into `state` and returns the file of it that matches the glob `pattern`.

    Asks the places of the machine's apt sources for source packages, and changes nothing outside `state`.
    """
    if shutil.which("apt-get") is None:
        raise _missing(package, because="this machine has no apt-get")
    options = _private_options(state)
    write_source_entries(SOURCES, state / "sources")
    # An entry without source packages makes `update` fail; only `source` tells whether ours was found.
    update = _apt([*options, "update"], state)
    source = _apt([*options, "source", "--download-only", package], state)
    found = sorted(state.glob(pattern))
    if not found:
        words = (source.stderr or update.stderr).strip().splitlines()
        raise _missing(package, because="apt-get source did not deliver it", got=words[-1] if words else "")
    return found[0]


def write_source_entries(folder: Path, out: Path) -> None:
    """Writes to `out` every package source of `folder` (an /etc/apt) as a source of source packages."""
    out.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(folder.glob("sources.list.d/*.sources"))):
        stanzas = [s for s in re.split(r"\n\s*\n", path.read_text()) if _is_active(s)]
        text = "\n\n".join(re.sub(r"(?im)^types:.*$", "Types: deb-src", stanza).strip() for stanza in stanzas)
        (out / f"{number}.sources").write_text(text + "\n")
    lists = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
    lines = [line for path in lists if path.is_file() for line in path.read_text().splitlines()]
    entries = [re.sub(r"^\s*deb\s", "deb-src ", line) for line in lines if re.match(r"\s*deb\s", line)]
    (out / "lines.list").write_text("".join(f"{entry}\n" for entry in entries))


def _is_active(stanza: str) -> bool:
    types = re.search(r"(?im)^types:(.*)$", stanza)
    off = re.search(r"(?im)^enabled:\s*(no|false|0)\s*$", stanza)
    return types is not None and "deb" in types.group(1).split() and off is None


def _private_options(state: Path) -> list[str]:
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True)
    settings = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": state / "sources",
        "APT::Sandbox::User": "root",  # as root: do not hand the private folder to another user
        "Acquire::Languages": "none",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _apt(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["apt-get", "-q", *words], cwd=folder, capture_output=True, text=True, check=False)


def _missing(package: str, *, because: str, got: str = "") -> MissingEngineError:
    remedy = "mgn-convert darknet build --source DIR, with a checkout of a commit in upstream.toml"
    what = f"cannot fetch the source package {package}"
    return MissingEngineError(what, because=because, got=got, remedy=remedy)
