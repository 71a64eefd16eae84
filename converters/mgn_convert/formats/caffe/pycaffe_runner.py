"""Caffe itself as the engine, through `import caffe`, in a process of its own.

Caffe ends the process at the first error and prints as it likes; here a child ends, which is an error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from mgn_convert.child import Child
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
        self._child = _child(prototxt, caffemodel)

    def _can_tap(self, blob: str) -> bool:
        return blob in self._layers[blob].message.top

    def _forward(self, feeds: Mapping[str, Array], blobs: list[str]) -> dict[str, Array]:
        found: dict[str, Array] = self._child.ask((dict(feeds), blobs))
        return found

    def _forward_files(
        self, prototxt: str, caffemodel: bytes, feeds: Mapping[str, Array], part: subnet.Part
    ) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            text, weights = Path(folder) / "part.prototxt", Path(folder) / "part.caffemodel"
            text.write_text(prototxt, encoding="utf8")
            weights.write_bytes(caffemodel)
            child = _child(text, weights)
            try:
                found: dict[str, Array] = child.ask((dict(feeds), [part.target]))
                return found[part.target]
            finally:
                child.close()

    def close(self) -> None:
        self._child.close()


def _child(prototxt: Path, caffemodel: Path) -> Child:
    def failure(action: str, reason: str, log: str) -> MgnConvertError:
        lines = log.splitlines()
        return MgnConvertError(
            f"Caffe cannot {action} {prototxt.name}",
            because=reason,
            got=next((line for line in lines if line.startswith("F")), lines[-1] if lines else ""),
            remedy="convert to the dialect of this Caffe: bvlc-1.0 or bvlc-master",
        )

    return Child(pycaffe_child.__name__, [str(prototxt), str(caffemodel)], failure)
