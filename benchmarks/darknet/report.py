"""The tables, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rounds import Figures

from mgn_convert.formats.darknet.library import load_library

BASE = "onnxruntime"
TITLES = {
    "ours": "ours, prepared",
    "ours-without-amx": "ours, without AMX",
    "ours-plain": "ours, plain path",
    "stock": "stock Darknet",
    "onnxruntime": "onnxruntime {onnxruntime}",
    "opencv": "OpenCV DNN {opencv-python-headless}",
    "pytorch": "PyTorch {torch}, eager",
    "pytorch-channels-last": "PyTorch {torch}, channels last",
}
BOUNDS = (
    ("CPU time", "cpu", 0.90),
    ("wall time", "wall", 0.95),
    ("memory", "peak", 0.5),
    ("load", "load_cpu", 0.5),
)
TOLERANCE = 2e-6

NOTES = """\
Every engine runs in a process of its own, and all are asked in turn, round after round, with a pause of 50 ms
before each run, so that no thread of another still spins. *CPU* is the time of all threads of the process,
*wall* that of the clock, both per image; a figure is the smallest of its rounds, the median stands in
brackets. How threads wait is left to each engine's defaults. Ratios are to onnxruntime. *Of sgemm* is the
share of what NumPy's (OpenBLAS) product of 2048 x 2048 matrices reaches in the same rounds, with two
operations per multiply-add of convolutions and linear layers.

Loading is measured in fresh processes, after the libraries are loaded, with all files in the page cache. Some
engines do a part of that work with the first run, so it is also given with one. Memory is the peak of the
process (VmHWM) after loading and two runs, minus that of an interpreter that has imported NumPy; an
engine's libraries count, and so do files that it maps. Differences are max |a - b| / max |b|, over noise.

Stock Darknet is upstream's tree without a patch, as its own Makefile builds it (-Ofast; with OPENMP=1 for
several threads), with what our writer makes for `--dialect stock`. It cannot cut a map: in MGN, depthwise
convolutions pick the rows. onnxruntime gets our ONNX file, OpenCV our Caffe files, both with the engine's
default optimisations.
"""


@dataclass(frozen=True)
class Measured:
    """All figures of one network: runs by (batch, threads) and loads by threads, then by engine's name."""

    network: dict[str, Any]
    runs: dict[tuple[int, int], dict[str, Figures]]
    loads: dict[tuple[int, int], dict[str, Figures]]

    def run(self, engine: str, batch: int, threads: int) -> Figures:
        return self.runs.get((batch, threads), {}).get(engine, Figures())

    def load(self, engine: str, batch: int, threads: int) -> Figures:
        return self.loads.get((batch, threads), {}).get(engine, Figures())


def title(engine: str) -> str:
    packages = ("onnxruntime", "opencv-python-headless", "torch")
    return TITLES[engine].format_map({name: version(name) for name in packages})


def write(found: Sequence[Measured], engines: Sequence[str], cores: int) -> str:
    """The whole page."""
    parts = ["# The Darknet engine beside others", machine(found, cores)]
    for measured in found:
        network = measured.network
        size = " x ".join(map(str, network["shape"]))
        parts.append(f"## {network['title']}, {size}, {network['gflop']:.2f} GFLOP")
        for batch in sorted({batch for batch, _ in measured.runs}):
            parts += [f"Batch {batch}, per image:", times(measured, engines, batch, cores)]
        parts += ["Loading and memory:", loading(measured, engines, cores)]
        parts += ["Differences of the output:", differences(measured, engines)]
        parts += refusals(measured)
    parts += [text for measured in found if (text := bounds(measured, cores))]
    return "\n\n".join([*parts, NOTES])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(found: Sequence[Measured], cores: int) -> str:
    """The processor, and what products and bare multiply-adds reach on it, over all rounds."""
    text = Path("/proc/cpuinfo").read_text()
    name = text.partition("model name")[2].partition(":")[2].split("\n")[0].strip()
    flags = text.partition("flags")[2].split("\n")[0].split()
    vectors = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "")
    rows = []
    for what, label in (("sgemm", "sgemm, 2048 x 2048"), ("fma", "multiply-adds in registers")):
        row = [label]
        for threads, clock in ((1, "cpu"), (cores, "wall")):
            rates = [
                figures.gflop / min(getattr(figures, clock))
                for measured in found
                for (_, used), by_name in measured.runs.items()
                if used == threads and (figures := by_name[what]).cpu
            ]
            row.append(f"{max(rates):.0f}" if rates else "")
        rows.append(row)
    head = ["GFLOP/s", "1 thread", f"{cores} threads"]
    others = f"Other processes had {disturbance(found, cores):.0%} of the cores' time during the runs."
    convolutions = f"Our engine convolves with {load_library().dk_convolutions().decode()}."
    return f"{name}, {cores} cores, {vectors}. {convolutions} {others}\n\n{table(head, rows)}"


def disturbance(found: Sequence[Measured], cores: int) -> float:
    """The share of the machine that went elsewhere while an engine ran."""
    figures = [f for measured in found for by_name in measured.runs.values() for f in by_name.values()]
    apart = sum(sum(f.busy) - sum(f.cpu) for f in figures)
    return apart / (cores * sum(sum(f.wall) for f in figures))


def times(measured: Measured, engines: Sequence[str], batch: int, cores: int) -> str:
    head = ["engine"]
    for threads, clock in ((1, "CPU"), (cores, "wall")):
        head += [f"{clock} ms, {threads} thread{'s' * (threads > 1)}", "ratio", "of sgemm"]
    rows = []
    for engine in engines:
        row = [title(engine)]
        for threads, clock in ((1, "cpu"), (cores, "wall")):
            row += _times(measured, engine, batch, threads, clock)
        rows.append(row)
    return table(head, rows)


def _times(measured: Measured, engine: str, batch: int, threads: int, clock: str) -> list[str]:
    seconds = getattr(measured.run(engine, batch, threads), clock)
    if not seconds:
        return ["", "", ""]
    best = min(seconds) / batch
    sgemm = measured.run("sgemm", batch, threads)
    peak = sgemm.gflop / min(getattr(sgemm, clock))
    return [
        f"{best * 1e3:.1f} ({median(seconds) / batch * 1e3:.1f})",
        _ratio(measured, engine, batch, threads, clock),
        f"{measured.network['gflop'] / best / peak:.0%}",
    ]


def _ratio(measured: Measured, engine: str, batch: int, threads: int, key: str) -> str:
    found = ratio(measured, engine, batch, threads, key)
    return "" if found is None else f"{found:.2f}"


def ratio(measured: Measured, engine: str, batch: int, threads: int, key: str) -> float | None:
    """The engine's smallest figure over onnxruntime's: cpu and wall of runs, all other keys of loads."""
    of: Callable[[str, int, int], Figures] = measured.run if key in ("cpu", "wall") else measured.load
    ours, base = (getattr(of(name, batch, threads), key) for name in (engine, BASE))
    return min(ours) / min(base) if ours and base else None


def loading(measured: Measured, engines: Sequence[str], cores: int) -> str:
    batches = sorted({batch for batch, _ in measured.loads})
    least = batches[0]
    head = ["engine", "load, CPU ms", "ratio", "load, wall ms", "ratio", "with first run, CPU ms", "ratio"]
    for batch in batches:
        head += [f"memory MB, batch {batch}", "ratio"]
    head.append(f"memory MB, batch {least}, {cores} threads")
    rows = []
    for engine in engines:
        row = [title(engine)]
        for key in ("load_cpu", "load_wall", "first_cpu"):
            row += _smallest(measured, engine, least, 1, key, 1e3)
        for batch in batches:
            row += _smallest(measured, engine, batch, 1, "peak", 1)
        row += _smallest(measured, engine, least, cores, "peak", 1)[:1]
        rows.append(row)
    return table(head, rows)


def _smallest(
    measured: Measured, engine: str, batch: int, threads: int, key: str, unit: float
) -> tuple[str, str]:
    values = getattr(measured.load(engine, batch, threads), key)
    text = f"{min(values) * unit:.0f}" if values else ""
    return text, _ratio(measured, engine, batch, threads, key)


def differences(measured: Measured, engines: Sequence[str]) -> str:
    """The largest over all batches and numbers of threads."""
    rows = []
    for engine in engines:
        cells = (difference(measured, engine, other) for other in ("ours-plain", "float64"))
        rows.append([title(engine), *("" if cell is None else f"{cell:.1e}" for cell in cells)])
    return table(["engine", "to our plain path", "to PyTorch in float64"], rows)


def difference(measured: Measured, engine: str, other: str) -> float | None:
    found = []
    for by_name in measured.runs.values():
        a, b = (by_name[name].output if name in by_name else None for name in (engine, other))
        if a is not None and b is not None:
            found.append(float(np.abs(a - b).max() / np.abs(b).max()) if a.shape == b.shape else np.inf)
    return max(found) if found else None


def refusals(measured: Measured) -> list[str]:
    """Why engines have no figures."""
    failed = {}
    for by_name in (*measured.runs.values(), *measured.loads.values()):
        failed |= {name: figures.error for name, figures in by_name.items() if figures.error}
    return [f"{TITLES.get(name, name)} gave no figures: {error}" for name, error in failed.items()]


def bounds(measured: Measured, cores: int) -> str:
    """What was to be reached at batch 1, and what was."""
    rows = []
    for label, key, limit in BOUNDS:
        threads = cores if key == "wall" else 1
        found = ratio(measured, "ours", 1, threads, key)
        if found is not None:
            what = f"{label}, of onnxruntime's ({threads} thread{'s' * (threads > 1)})"
            rows.append([what, f"{limit:.2f}", f"{found:.2f}", _verdict(found <= limit)])
    apart = difference(measured, "ours", "ours-plain")
    if apart is not None:
        rows.append(
            ["difference to the plain path", f"{TOLERANCE:.0e}", f"{apart:.1e}", _verdict(apart <= TOLERANCE)]
        )
    head = ["at most, batch 1", "bound", "measured", ""]
    return f"## Bounds, {measured.network['title']}\n\n{table(head, rows)}" if rows else ""


def _verdict(reached: bool) -> str:
    return "reached" if reached else "not reached"
