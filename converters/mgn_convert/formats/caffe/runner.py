"""Running a prototxt and its caffemodel: what the engines share. Which value is where, feeding, tapping."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.formats import Runner, Source, with_companion
from mgn_convert.formats.caffe import binary, net, subnet
from mgn_convert.formats.provenance import Provenance
from mgn_convert.graph import Array, Shape
from mgn_convert.packaging import Processing


def open_runner(source: Source) -> Runner:
    """The network in the engine `source.engine`, by default OpenCV.

    Raises UsageError for an unknown engine, MissingEngineError when it is not installed, FileFormatError for
    files it cannot load.
    """
    source = with_companion(source, ".caffemodel")
    assert source.path is not None
    assert source.weights is not None
    if not source.weights.is_file():
        raise FileFormatError(
            f"there is no {source.weights}",
            because="the weights of a prototxt are in a caffemodel",
            remedy="name the caffemodel behind the prototxt, or give both the same stem",
        )
    if source.engine_of("caffe") == "pycaffe":
        from mgn_convert.formats.caffe.pycaffe_runner import PycaffeRunner

        return PycaffeRunner(source.path, source.weights)
    from mgn_convert.formats.caffe.opencv_runner import OpencvRunner

    return OpencvRunner(source.path, source.weights)


class CaffeRunner(ABC):
    """A loaded network. Engines implement `_forward` and `_forward_files`.

    A tensor goes by the name that the manifest beside the prototxt gives it, else by its blob.
    `input_name` is what the single input is called, empty where there are several.
    """

    engine = ""
    processing: Processing | None = None

    def __init__(self, prototxt: Path, caffemodel: Path) -> None:
        self.path, self.weights = prototxt, caffemodel
        self._loaded: Mapping[str, tuple[binary.Blob, ...]] | None = None
        self.network = net.load(prototxt)
        provenance = Provenance.beside(prototxt, "caffe", "blob")
        self._layers = {top: layer for layer in self.network.layers for top in layer.tops}
        self._inputs = _inputs(self.network)
        self._fed = {name: name for name in self._inputs}
        if len(self._inputs) == 1 and provenance.input:
            self._fed[provenance.input] = next(iter(self._inputs))
        self.input_name = (provenance.input or next(iter(self._inputs))) if len(self._inputs) == 1 else ""
        self.input_shape: Shape = next(iter(self._inputs.values()))[1:]
        self._blobs = {
            tensor: blob
            for blob, layer in self._layers.items()
            if layer.type != "Input" and self._can_tap(blob) and (tensor := provenance.tensor(blob))
        }
        self.outputs = tuple(provenance.tensor(b) or b for b in provenance.ordered(self.network.outputs))
        self._blobs.update((provenance.tensor(b) or b, b) for b in self.network.outputs)
        self.tensors = tuple(self._blobs)

    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """Outputs and taps for images (N, C, H, W), as float32. Raises UsageError for what does not fit."""
        if len(self._inputs) != 1:
            raise UsageError(
                f"{self.path.name} has {len(self._inputs)} inputs",
                because="a runner feeds images to one input",
                got=", ".join(self._inputs),
            )
        return self.run_feeds({next(iter(self._inputs)): images}, taps)

    def run_feeds(self, feeds: Mapping[str, Array], taps: Iterable[str] = ()) -> dict[str, Array]:
        """As `run`, for a network of several inputs, by blob."""
        arrays = {}
        for name, shape in self._inputs.items():
            array = np.ascontiguousarray(feeds[name], np.float32) if name in feeds else None
            if array is None or array.ndim != len(shape) or array.shape[1:] != shape[1:]:
                raise UsageError(
                    f"{self.path.name} takes another input {name!r}",
                    because=f"its shape is {['N', *shape[1:]]}",
                    got="nothing" if array is None else str(list(array.shape)),
                )
            arrays[name] = array
        tensors = dict.fromkeys([*self.outputs, *taps])
        blobs = {tensor: self._blob(tensor) for tensor in tensors}
        found = self._forward(arrays, list(dict.fromkeys(blobs.values())))
        return {tensor: found[blob] for tensor, blob in blobs.items()}

    def run_isolated(self, tensor: str, reference: Mapping[str, Array]) -> Array:
        """`tensor` from the nearest values before it that `reference` holds, by tensor or input name."""
        known = {self._blobs[name]: name for name in reference if name in self._blobs}
        known |= {self._fed[name]: name for name in reference if name in self._fed}
        known.pop(self._blob(tensor), None)
        part = subnet.extract(self.network, self._blob(tensor), known)
        feeds = {blob: np.ascontiguousarray(reference[known[blob]], np.float32) for blob in part.inputs}
        text, weights = subnet.files(part, {b: a.shape for b, a in feeds.items()}, self._weights())
        return self._forward_files(text, weights, feeds, part)

    def describe(self, tensor: str) -> str:
        """The layer that makes the tensor, as `Convolution "conv1"`."""
        return str(self._layers[self._blob(tensor)])

    @abstractmethod
    def close(self) -> None:
        """Let go of the engine."""

    def __enter__(self) -> CaffeRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _blob(self, tensor: str) -> str:
        if tensor not in self._blobs:
            raise UsageError(f"{self.path.name} has no tensor {tensor!r} that can be tapped")
        return self._blobs[tensor]

    def _weights(self) -> Mapping[str, tuple[binary.Blob, ...]]:
        if self._loaded is None:
            self._loaded = binary.read_caffemodel(self.weights)
        return self._loaded

    def _can_tap(self, blob: str) -> bool:
        return True

    @abstractmethod
    def _forward(self, feeds: Mapping[str, Array], blobs: list[str]) -> dict[str, Array]:
        """Those blobs for these inputs."""

    @abstractmethod
    def _forward_files(
        self, prototxt: str, caffemodel: bytes, feeds: Mapping[str, Array], part: subnet.Part
    ) -> Array:
        """The blob `part.target` of a network in memory."""


def _inputs(network: net.Net) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for layer in network.layers:
        if layer.type == "Input":
            shapes = [tuple(shape.dim) for shape in layer.message.input_param.shape]
            shapes = shapes * len(layer.tops) if len(shapes) == 1 else shapes
            found.update(zip(layer.tops, shapes, strict=False))
    if not found or not all(found.values()):
        raise FileFormatError(
            f"{network.name} has no input of known shape", because="images are fed to an Input layer"
        )
    return found
