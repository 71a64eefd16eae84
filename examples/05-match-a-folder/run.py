"""Who is on these pictures? A folder is searched for people, and sorted by person.

    python run.py [FOLDER]        # FOLDER takes the files; ./out by default

The network is the one of the fourth example, taken from FOLDER if it was trained there, else trained for some
epochs; here it runs in Darknet, converted. The pictures show people whom it never saw.
"""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import mgn_convert
from mgn_convert.datasets import read_dataset
from mgn_reid.cli import main as mgn_reid

FOURTH = Path(__file__).parents[1] / "04-train-on-synthetic-people" / "run.py"
PEOPLE, QUERIES = 12, 4


def call(*arguments: object) -> None:
    """One command, as on the command line."""
    words = [str(argument) for argument in arguments]
    print("\n$ mgn-reid", *words)
    if mgn_reid(words, standalone_mode=False):
        raise SystemExit("the command failed")


def collect(dataset: Path, target: Path) -> list[Path]:
    """Copy the gallery's pictures of a dozen people into a folder; returns a query picture of some."""
    found = read_dataset(dataset)
    people = sorted({picture.identity for picture in found.query})[:PEOPLE]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for picture in found.gallery:
        if picture.identity in people:
            shutil.copy(picture.path, target)
    firsts = {picture.identity: picture.path for picture in reversed(found.query)}
    return [firsts[identity] for identity in people[:QUERIES]]


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    best = runpy.run_path(str(FOURTH))["train_network"](folder, "epochs=5")
    mgn_convert.convert(best, "darknet", folder, name="matcher")
    network, visitors, features = folder / "matcher.cfg", folder / "visitors", folder / "visitors.npz"
    queries = collect(folder / "people", visitors)

    call("extract", network, visitors, "--flip", "-o", features)
    sheet, asked = folder / "ranked.png", ("--model", network, "--flip", "-k", 8)
    call("rank", *queries, "--gallery", features, *asked, "--exclude-same-camera", "--sheet", sheet)
    shutil.rmtree(folder / "sorted", ignore_errors=True)
    limits = ("--threshold", 0.7, "--cluster-threshold", 0.2)
    call("cluster", features, *limits, "-o", folder / "sorted")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")))
