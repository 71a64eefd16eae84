"""One engine in a process of its own: a JSON line with a request in, a JSON line with the figures out.

    python worker.py '{"engine": NAME, "network": {...}, "batch": N, "threads": N}'

Requests: load, run, save FILE, peak. Seconds are of the request alone, imports are done before.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engines import ENGINES, MACHINE, REFERENCE


def timed(function: Callable[[], Any]) -> dict[str, float]:
    """CPU seconds of all threads of the process, seconds of the wall clock, and the machine's CPU seconds."""
    busy, cpu, wall = busy_seconds(), time.process_time(), time.perf_counter()
    function()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "busy": busy_seconds() - busy}


def busy_seconds() -> float:
    """What the processors have worked for all processes since the machine started, in steps of 10 ms."""
    user, nice, system, _idle, _waiting, *others = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def peak_mb() -> float:
    """The largest resident size of this process. (ru_maxrss would start from that of its parent.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def answer(engine: Any, images: Any, request: list[str]) -> dict[str, float]:
    if request[0] == "load":
        return {**timed(engine.load), "gflop": getattr(engine, "gflop", 0.0)}
    if request[0] == "run":
        return timed(lambda: engine.run(images))
    if request[0] == "save":
        np.save(request[1], engine.run(images).reshape(len(images), -1))
        return {}
    if request[0] == "peak":
        return {"mb": peak_mb()}
    raise ValueError(request)


def noise(network: dict[str, Any], batch: int) -> Any:
    """Pictures of even noise as the network takes them: float32 (N, C, H, W)."""
    scale, mean, std = (np.float32(network["input"][key]) for key in ("scale", "mean", "std"))
    raw = np.random.default_rng(0).random((batch, *network["shape"]), dtype=np.float32) * 255
    return (raw * scale - mean.reshape(-1, 1, 1)) / std.reshape(-1, 1, 1)


def main() -> None:
    # Engines that print would speak between the answers.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    asked = json.loads(sys.argv[1])
    network, batch = asked["network"], asked["batch"]
    images = noise(network, batch)
    known = {**ENGINES, **MACHINE, **REFERENCE}
    try:
        engine = known[asked["engine"]](network, batch, asked["threads"])
        print("{}", file=replies)
        for line in sys.stdin:
            print(json.dumps(answer(engine, images, json.loads(line))), file=replies)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=replies)


if __name__ == "__main__":
    main()
