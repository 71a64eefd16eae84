"""Caffe itself as the engine, through `import caffe`, in a process of its own.

Caffe ends the process at the first error and prints as it likes; here a child ends, which is an error.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np

from mgn_convert.errors import MgnConvertError, MissingEngineError
from mgn_convert.formats.caffe import pycaffe_child, subnet
from mgn_convert.formats.caffe.runner import CaffeRunner
from mgn_convert.graph import Array


class PycaffeRunner(CaffeRunner):
    """Runs on the CPU. Of a blob that layers change in place only the last version can be tapped."""

    engine = "pycaffe"

    def __init__(self, prototxt: Path, caffemodel: Path) -> None:
        if find_spec("caffe") is None:
            raise MissingEngineError(
                "pycaffe is not installed",
                because="`import caffe` fails for this Python",
                remedy="the engine opencv, which comes with mgn-convert, or a Caffe built for this Python",
            )
        super().__init__(prototxt, caffemodel)
        self._child = _Child(prototxt, caffemodel)

    def _can_tap(self, blob: str) -> bool:
        return blob in self._layers[blob].message.top

    def _forward(self, feeds: Mapping[str, Array], blobs: list[str]) -> dict[str, Array]:
        return self._child.forward(feeds, blobs)

    def _forward_files(
        self, prototxt: str, caffemodel: bytes, feeds: Mapping[str, Array], part: subnet.Part
    ) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            text, weights = Path(folder) / "part.prototxt", Path(folder) / "part.caffemodel"
            text.write_text(prototxt, encoding="utf8")
            weights.write_bytes(caffemodel)
            child = _Child(text, weights)
            try:
                return child.forward(feeds, [part.target])[part.target]
            finally:
                child.close()

    def close(self) -> None:
        self._child.close()


class _Child:
    """A process that has loaded one network. It answers each request on its standard output."""

    def __init__(self, prototxt: Path, caffemodel: Path) -> None:
        self._name = prototxt.name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-c", pycaffe_child.COMMAND, str(prototxt), str(caffemodel)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        try:
            self._answer("load")
        except BaseException:
            self.close()
            raise

    def forward(self, feeds: Mapping[str, Array], blobs: list[str]) -> dict[str, Array]:
        assert self._process.stdin is not None
        try:
            pickle.dump((dict(feeds), blobs), self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the child is gone; its answer says so
        return {name: np.asarray(array) for name, array in self._answer("run").items()}

    def _answer(self, action: str) -> Any:
        assert self._process.stdout is not None
        try:
            kind, content = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            kind, content = "error", f"Caffe ended the process with status {self._process.wait()}"
        if kind == "error":
            raise MgnConvertError(
                f"Caffe cannot {action} {self._name}",
                because=content,
                got=self._last_words(),
                remedy="convert to the dialect of this Caffe: bvlc-1.0 or bvlc-master",
            )
        return content

    def _last_words(self) -> str:
        """The line that Caffe wrote as it gave up: its check, or the last one."""
        self._log.seek(0)
        lines = self._log.read().decode("utf8", "replace").strip().splitlines()
        return next((line for line in lines if line.startswith("F")), lines[-1] if lines else "")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
