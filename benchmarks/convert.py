"""Time and memory of the conversions on MGN, against plain file operations in the same run.

    python benchmarks/convert.py [--runs N] [FOLDER]

Conversions from PyTorch are measured beyond what torch.load and torch.export take themselves, against
writing the same bytes to a file; caffe2darknet against copying the weights file. Verification is
off. Seconds are of the wall clock, CPU seconds of the process alone (a SavedModel is saved by a child). Every
figure is the minimum over the runs, each in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_from_pytorch(folder: Path, to: str, **fields: Any) -> dict[str, float]:
    """Seconds in torch's own loading and export, seconds and CPU seconds in everything else, and peak MB."""
    import torch

    import mgn_convert

    inside = inside_cpu = 0.0

    def clocked(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal inside, inside_cpu
            start, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                inside += time.perf_counter() - start
                inside_cpu += time.process_time() - cpu

        return call

    torch.load = clocked(torch.load)
    torch.export.export = clocked(torch.export.export)
    program = torch.export.ExportedProgram
    program.run_decompositions = clocked(program.run_decompositions)  # type: ignore[method-assign]
    network = dict(architecture="mgn", options={"pool": "max"})
    cpu, before = time.process_time(), peak_mb()
    total = timed(
        lambda: mgn_convert.convert(folder / "mgn.pth", to, folder, verify=False, **fields, **network)
    )
    cpu = time.process_time() - cpu - inside_cpu
    return {
        "torch": inside,
        "ours": total - inside,
        "cpu": cpu,
        "peak": peak_mb(),
        "added": peak_mb() - before,
    }


def measure_caffe2darknet(folder: Path) -> dict[str, float]:
    """Seconds and peak MB, imports included."""

    def run() -> None:
        import mgn_convert

        mgn_convert.convert(folder / "mgn.prototxt", "darknet", folder, verify=False)

    return {"ours": timed(run), "peak": peak_mb()}


def measure_write(folder: Path) -> dict[str, float]:
    """Seconds to write and sync as many bytes as the caffemodel has, from memory."""
    content = (folder / "mgn.caffemodel").read_bytes()

    def run() -> None:
        with (folder / "plain").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    return {"ours": timed(run)}


def measure_copy(folder: Path) -> dict[str, float]:
    """Seconds to copy and sync the Darknet weights."""

    def run() -> None:
        with (folder / "mgn.weights").open("rb") as source, (folder / "plain").open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())

    return {"ours": timed(run)}


MEASURES = {
    "pytorch2caffe": lambda folder: measure_from_pytorch(folder, "caffe"),
    "pytorch2onnx": lambda folder: measure_from_pytorch(folder, "onnx"),
    "frozen graph": lambda folder: measure_from_pytorch(folder, "tensorflow"),
    "SavedModel": lambda folder: measure_from_pytorch(folder, "tensorflow", dialect="saved-model"),
    "plain write": measure_write,
    "caffe2darknet": measure_caffe2darknet,
    "plain copy": measure_copy,
}


def in_child(measure: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", measure, str(folder)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def help_seconds() -> float:
    command = [str(Path(sys.executable).with_name("mgn-convert")), "--help"]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))


def make_checkpoint(path: Path) -> None:
    import torch

    from mgn_reid.models.mgn import ARCHITECTURE

    torch.manual_seed(0)
    torch.save(ARCHITECTURE.build(pool="max").state_dict(), path)


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--runs", default=5, show_default=True)
@click.option("--measure", hidden=True, type=click.Choice(list(MEASURES)))
def main(folder: Path | None, runs: int, measure: str | None) -> None:
    """Print the table."""
    if measure is not None:
        assert folder is not None
        print(json.dumps(MEASURES[measure](folder)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch)
        make_checkpoint(place / "mgn.pth")
        best: dict[str, dict[str, float]] = {}
        for _ in range(runs):
            for name in MEASURES:
                found = in_child(name, place)
                best[name] = {k: min(v, best.get(name, found)[k]) for k, v in found.items()}
        show(best, min(help_seconds() for _ in range(runs)))


def show(best: dict[str, dict[str, float]], help_time: float) -> None:
    table = Table("what", "seconds", "CPU seconds", "ratio to plain", "peak MB", "of it while converting")
    for name, found in best.items():
        plain = best["plain copy" if name == "caffe2darknet" else "plain write"]["ours"]
        memory = [f"{found[key]:.0f}" if key in found else "" for key in ("peak", "added")]
        cpu = f"{found['cpu']:.2f}" if "cpu" in found else ""
        table.add_row(name, f"{found['ours']:.2f}", cpu, f"{found['ours'] / plain:.1f}", *memory)
    table.add_row("torch.load + torch.export", f"{best['pytorch2caffe']['torch']:.2f}")
    table.add_row("mgn-convert --help", f"{help_time:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
