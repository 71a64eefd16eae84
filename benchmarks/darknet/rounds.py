"""Asks the engines in turn, round after round, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

HERE = Path(__file__).parent
PAUSE = 0.05  # seconds; threads that wait for more work by spinning have gone to sleep by then
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
BARE = "import numpy; print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"


@dataclass
class Figures:
    """What was measured of one engine with one network, batch and number of threads. Seconds, MB, GFLOP.

    cpu, wall: of single runs. busy: what all processes of the machine worked meanwhile. load_cpu, load_wall:
    of loading. first_cpu: of loading and one run. peak: memory. error: why there are none.
    """

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    load_cpu: list[float] = field(default_factory=list)
    load_wall: list[float] = field(default_factory=list)
    first_cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    gflop: float = 0.0
    output: Any = None
    error: str = ""


class WorkerError(Exception):
    """The engine refused, or its process ended."""


class Worker:
    """A process with one engine in it; `ask` sends a request of worker.py and returns the figures."""

    def __init__(self, engine: str, network: dict[str, Any], batch: int, threads: int) -> None:
        asked = json.dumps(dict(engine=engine, network=network, batch=batch, threads=threads))
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), asked],
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.communicate()
        self._words.close()

    def ready(self) -> None:
        """Waits until the engine's library is loaded."""
        self._answer()

    def ask(self, *request: str) -> dict[str, float]:
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # then there is no answer, which says why
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            self._words.seek(0)
            words = self._words.read().strip().splitlines()[-1:]
            raise WorkerError(" ".join([f"its process ended with {self._child.wait()}:", *words]))
        found = json.loads(line)
        if "error" in found:
            raise WorkerError(found["error"])
        return found


def environment(threads: int) -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(LIBRARIES, str(threads))}


def bare_mb(threads: int) -> float:
    """Peak memory of an interpreter that has only imported NumPy."""
    command = [sys.executable, "-c", BARE]
    return (
        int(subprocess.run(command, check=True, capture_output=True, env=environment(threads)).stdout) / 1024
    )


def measure_runs(
    names: Sequence[str], network: dict[str, Any], batch: int, threads: int, rounds: int, patience: float
) -> dict[str, Figures]:
    """Times of single runs, and the outputs.

    An engine that has taken more than `patience` seconds is asked no more after two rounds.
    """
    found = {name: Figures() for name in names}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, network, batch, threads)) for name in names}
        for name, figures in found.items():
            with _recorded(figures):
                _start(workers[name], figures)
        for number in range(rounds):
            for name in _turned(names, number):
                figures = found[name]
                if figures.error or (number >= 2 and sum(figures.wall) > patience):
                    continue
                time.sleep(PAUSE)
                with _recorded(figures):
                    seconds = workers[name].ask("run")
                    for clock in ("cpu", "wall", "busy"):
                        getattr(figures, clock).append(seconds[clock])
    return found


def measure_loads(
    names: Sequence[str], network: dict[str, Any], batch: int, threads: int, rounds: int
) -> dict[str, Figures]:
    """Loading and memory, each time in a process of its own: library, network, two runs."""
    found = {name: Figures() for name in names}
    bare = bare_mb(threads)
    for number in range(rounds):
        for name in _turned(names, number):
            figures = found[name]
            if figures.error:
                continue
            with Worker(name, network, batch, threads) as worker, _recorded(figures):
                _load(worker, figures, bare)
    return found


def run_once(name: str, network: dict[str, Any], batch: int, threads: int) -> Figures:
    """The output alone."""
    figures = Figures()
    with Worker(name, network, batch, threads) as worker, _recorded(figures):
        _start(worker, figures)
    return figures


@contextmanager
def _recorded(figures: Figures) -> Iterator[None]:
    try:
        yield
    except WorkerError as error:
        figures.error = str(error)


def _turned(names: Sequence[str], number: int) -> list[str]:
    """Another one is first in every round."""
    turn = number % len(names)
    return [*names[turn:], *names[:turn]]


def _start(worker: Worker, figures: Figures) -> None:
    """Loads, and runs twice to warm up; the second time gives the output."""
    worker.ready()
    figures.gflop = worker.ask("load")["gflop"]
    worker.ask("run")
    if figures.gflop:
        worker.ask("run")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "output.npy"
        worker.ask("save", str(file))
        figures.output = np.load(file)


def _load(worker: Worker, figures: Figures, bare: float) -> None:
    worker.ready()
    loading = worker.ask("load")
    first = worker.ask("run")
    worker.ask("run")
    figures.load_cpu.append(loading["cpu"])
    figures.load_wall.append(loading["wall"])
    figures.first_cpu.append(loading["cpu"] + first["cpu"])
    figures.peak.append(worker.ask("peak")["mb"] - bare)
