"""The Darknet engine beside other engines: time, loading, memory and accuracy, measured in one run.

    python benchmarks/darknet [--rounds N] [--only NAME ...] [--out FOLDER] [FOLDER]

Prints the tables, and with --out also writes them and a plot. FOLDER keeps the networks' files and stock
Darknet for the next run. Asserts nothing. Needs gcc, make and the extra `bench`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import report
from engines import ENGINES, MACHINE, REFERENCE
from rich.console import Console
from rounds import HERE, measure_loads, measure_runs, run_once

NETWORKS = ("mgn", "fastreid-bagtricks")
CORES = len(os.sched_getaffinity(0))
console = Console(stderr=True, soft_wrap=True)


def measure(
    name: str,
    engines: Sequence[str],
    batches: Sequence[int],
    rounds: int,
    loads: int,
    patience: float,
    folder: Path,
) -> report.Measured:
    """Everything about one network, on one thread and on all cores."""
    subprocess.run([sys.executable, str(HERE / "prepare.py"), name, str(folder)], check=True)
    network = json.loads((folder / f"{name}.json").read_text())
    threads = sorted({1, CORES})
    measured = report.Measured(network, {}, {})
    for batch in batches:
        for used in threads:
            console.print(f"{name}: runs, batch {batch}, threads {used}")
            names = [*engines, *MACHINE]
            measured.runs[batch, used] = measure_runs(names, network, batch, used, rounds, patience)
            measured.runs[batch, used] |= {name: run_once(name, network, batch, used) for name in REFERENCE}
        # Loading does not depend on the batch: of further ones only the memory is told.
        for used in threads if batch == batches[0] else threads[:1]:
            console.print(f"{name}: loads, batch {batch}, threads {used}")
            times = loads if batch == batches[0] else 1
            measured.loads[batch, used] = measure_loads(engines, network, batch, used, times)
    return measured


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--rounds", default=10, show_default=True, help="Runs of each engine, after two to warm up.")
@click.option("--loads", default=8, show_default=True, help="Fresh processes in which loading is measured.")
@click.option("--batch", "batches", multiple=True, default=(1, 8), show_default=True)
@click.option(
    "--patience", default=30.0, show_default=True, help="Seconds after which a slow engine is asked no more."
)
@click.option(
    "--only", multiple=True, type=click.Choice([*NETWORKS, *ENGINES]), help="Networks, engines; repeatable."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write darknet.md and darknet.png into this folder."
)
def main(
    folder: Path | None,
    rounds: int,
    loads: int,
    batches: tuple[int, ...],
    patience: float,
    only: tuple[str, ...],
    out: Path | None,
) -> None:
    """Measure, and print the tables."""
    if out is not None:
        import plot  # a missing matplotlib should show before the measuring

        out.mkdir(parents=True, exist_ok=True)
    engines = [name for name in ENGINES if name in only] or list(ENGINES)
    networks = [name for name in NETWORKS if name in only] or NETWORKS
    with tempfile.TemporaryDirectory() as scratch:
        place = (folder or Path(scratch)).resolve()
        found = [measure(name, engines, batches, rounds, loads, patience, place) for name in networks]
    text = report.write(found, engines, CORES)
    if out is not None:
        (out / "darknet.md").write_text(f"{text}\n![Ratios to {report.BASE}](darknet.png)\n")
        plot.draw(found, engines, CORES, out / "darknet.png")
    print(text)


if __name__ == "__main__":
    main()
