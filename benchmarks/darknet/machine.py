"""What the machine itself can do, asked in the same way as the engines: a matrix product, and bare FMAs."""

from __future__ import annotations

import ctypes
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SIDE = 2048
FMA_ROUNDS = 20_000_000


class Sgemm:
    """NumPy's float32 matrix product of 2048 x 2048; the number of threads is its BLAS's own affair."""

    def __init__(self, network: dict[str, Any], batch: int, threads: int) -> None:
        import numpy as np

        self._matmul = np.matmul
        random = np.random.default_rng(0)
        self._a = random.standard_normal((SIDE, SIDE), dtype=np.float32)
        self._out = np.empty_like(self._a)
        self.gflop = 2 * SIDE**3 / 1e9

    def load(self) -> None:
        """Nothing to load."""

    def run(self, images: Any) -> Any:
        return self._matmul(self._a, self._a, out=self._out)


class Fma:
    """Multiply-adds on registers alone, on every thread at once."""

    def __init__(self, network: dict[str, Any], batch: int, threads: int) -> None:
        self._run = ctypes.CDLL(network["files"]["fma"]).fma_run
        self._run.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float]
        self._run.restype = ctypes.c_float
        flop = ctypes.CDLL(network["files"]["fma"]).fma_flop
        flop.argtypes, flop.restype = [ctypes.c_long], ctypes.c_long
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self.gflop = threads * flop(FMA_ROUNDS) / 1e9

    def load(self) -> None:
        """Nothing to load."""

    def run(self, images: Any) -> list[float]:
        waiting = [self._pool.submit(self._run, FMA_ROUNDS, 0.5, 1.0) for _ in range(self._threads)]
        return [done.result() for done in waiting]


def build_fma(library: Path) -> None:
    """Compiles fma.c for this processor."""
    source = Path(__file__).with_name("fma.c")
    command = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
