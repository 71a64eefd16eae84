"""What a training tells: lines for people, in a file and on standard output, and scalars for TensorBoard."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

# What is imported of TensorBoard's package does without TensorFlow.
from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from mgn_convert.errors import UsageError

FILE = "train.log"
EVENTS = "events.out.tfevents."


class Log:
    """Appends to OUT/train.log and to an events file in OUT. Raises UsageError where it cannot."""

    def __init__(self, out: Path) -> None:
        self._path = out / FILE
        # A progress bar catches what is printed on a terminal; elsewhere, lines go where they went before it.
        self._stream: IO[str] | None = None if sys.stdout.isatty() else sys.stdout
        self._scalars = _Scalars(out)

    def line(self, text: str) -> None:
        """One line, with the time in the file."""
        print(text, file=self._stream, flush=True)
        try:
            with self._path.open("a", encoding="utf8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Points of curves, by their names."""
        self._scalars.write(values, iteration)


class _Scalars:
    """TensorBoard's events file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{EVENTS}{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, values: Mapping[str, float], iteration: int) -> None:
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        summary = Summary(value=points)
        self._append(Event(wall_time=time.time(), step=iteration, summary=summary))

    def _append(self, event: Event) -> None:
        try:
            with self._path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise _unwritable(self._path, error) from None


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {path}", because=error.strerror or str(error), remedy="another --out")
