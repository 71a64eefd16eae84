"""OpenCV's dnn module as the engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mgn_convert.errors import MgnConvertError, MissingEngineError, UnsupportedError
from mgn_convert.formats.caffe import net, subnet
from mgn_convert.formats.caffe.runner import CaffeRunner
from mgn_convert.graph import Array


class OpencvRunner(CaffeRunner):
    """Runs on the CPU, without fusion, so that every layer computes what the prototxt says.

    OpenCV overwrites all but the first top of a layer as soon as their readers are done. Where such a top is
    asked for, the network is loaded a second time, with one copying layer behind each of them.

    Raises UnsupportedError for layers that OpenCV is known to compute otherwise than Caffe.
    """

    engine = "opencv"

    def __init__(self, prototxt: Path, caffemodel: Path) -> None:
        self._cv2 = _opencv()
        super().__init__(prototxt, caffemodel)
        refused = [_refusal(layer, why) for layer in self.network.layers if (why := _misread(layer))]
        if refused:
            raise UnsupportedError.listing(f"OpenCV computes {len(refused)} layers wrongly", refused)
        self._net = self._load(str(prototxt), str(caffemodel))
        self._copied: Any = None

    def _can_tap(self, blob: str) -> bool:
        layer = self._layers[blob]
        return layer.tops[0] == blob or blob in layer.message.top

    def _load(self, prototxt: Any, caffemodel: Any) -> Any:
        try:
            with self._quiet():
                loaded = self._cv2.dnn.readNetFromCaffe(prototxt, caffemodel)
        except self._cv2.error as error:
            raise self._failure("load", error) from None
        loaded.setPreferableBackend(self._cv2.dnn.DNN_BACKEND_OPENCV)
        loaded.enableFusion(False)
        # Winograd triples the error of 3x3 convolutions against float64.
        loaded.enableWinograd(False)
        return loaded

    def _forward(self, feeds: Mapping[str, Array], blobs: list[str]) -> dict[str, Array]:
        first = [self._layers[blob].tops[0] == blob for blob in blobs]
        if all(first):
            return self._compute(self._net, feeds, {blob: (self._layers[blob].name, 0) for blob in blobs})
        if self._copied is None:
            self._copied = self._load_copied()
        names = [
            self._layers[blob].name if is_first else _copy(blob)
            for blob, is_first in zip(blobs, first, strict=True)
        ]
        return self._compute(
            self._copied, feeds, {blob: (name, 0) for blob, name in zip(blobs, names, strict=True)}
        )

    def _load_copied(self) -> Any:
        """The network with a Power layer, which does nothing, behind each top but the first of a layer."""
        word, kind = ("layer", '"Power"') if self.network.is_new else ("layers", "POWER")
        copies = [
            f'{word} {{ name: "{_copy(top)}" type: {kind} bottom: "{top}" top: "{_copy(top)}" }}\n'
            for layer in self.network.layers
            for top in layer.tops[1:]
            if self._can_tap(top) and layer.type != "Input"
        ]
        with tempfile.TemporaryDirectory() as folder:
            prototxt = Path(folder) / self.path.name
            prototxt.write_text(
                self.path.read_text(encoding="utf8") + "\n" + "".join(copies), encoding="utf8"
            )
            return self._load(str(prototxt), str(self.weights))

    def _forward_files(
        self, prototxt: str, caffemodel: bytes, feeds: Mapping[str, Array], part: subnet.Part
    ) -> Array:
        loaded = self._load(_buffer(prototxt.encode()), _buffer(caffemodel))
        return self._compute(loaded, feeds, {part.target: part.place()})[part.target]

    def _compute(
        self, loaded: Any, feeds: Mapping[str, Array], places: Mapping[str, tuple[str, int]]
    ) -> dict[str, Array]:
        layers = list(dict.fromkeys(layer for layer, _ in places.values()))
        try:
            with self._quiet():
                for name, array in feeds.items():
                    loaded.setInput(array, name)
                results = dict(zip(layers, loaded.forwardAndRetrieve(layers), strict=True))
        except self._cv2.error as error:
            raise self._failure("run", error) from None
        # Copied, because the next forward writes into the same memory.
        return {blob: np.array(results[layer][top], np.float32) for blob, (layer, top) in places.items()}

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Keep OpenCV from printing what its exceptions say anyway."""
        log = self._cv2.utils.logging
        before = log.getLogLevel()
        log.setLogLevel(log.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            log.setLogLevel(before)

    def _failure(self, action: str, error: Any) -> MgnConvertError:
        return MgnConvertError(
            f"OpenCV cannot {action} {self.path.name}",
            because=" ".join(str(error.err or error).split()),
            got=f"{error.func} in OpenCV {self._cv2.__version__}" if error.func else "",
            remedy="convert to the portable dialect, or run it with the engine pycaffe",
        )

    def close(self) -> None:
        self._net = self._copied = None


def _copy(blob: str) -> str:
    return f"{blob}/copy"


def _buffer(content: bytes) -> Array:
    return np.frombuffer(content, np.uint8)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingEngineError(
            "OpenCV is not installed",
            because=str(error),
            remedy='pip install "opencv-python-headless>=4.9,<5"',
        ) from None
    if not hasattr(cv2, "dnn") or not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise MissingEngineError(
            "this OpenCV does not read Caffe",
            because="version 5 removed the importer",
            got=f"OpenCV {cv2.__version__}",
            remedy='pip install "opencv-python-headless>=4.9,<5"',
        )
    return cv2


def _misread(layer: net.Layer) -> str | None:
    """Why OpenCV, which loads the layer without a word, computes something else than Caffe."""
    m = layer.message
    if layer.type == "MVN" and m.mvn_param.normalize_variance:
        return "OpenCV adds the eps of MVN inside the root, Caffe outside"
    if layer.type == "InnerProduct" and m.inner_product_param.transpose:
        return "OpenCV ignores `transpose`"
    if layer.type == "Log" and m.log_param.base != -1:
        return "OpenCV takes the natural logarithm whatever the base"
    if layer.type == "Swish" and m.swish_param.beta != 1:
        return "OpenCV ignores `beta`"
    if layer.type == "Deconvolution" and any(d != 1 for d in m.convolution_param.dilation):
        return "OpenCV ignores the dilation of Deconvolution"
    if layer.type == "Deconvolution" and _cuts_cells(m.convolution_param):
        return "OpenCV writes beyond the map of a 1x1 Deconvolution with padding"
    if layer.type == "Pooling" and m.pooling_param.round_mode != 0:
        return "OpenCV does not know `round_mode` and rounds up"
    return None


def _cuts_cells(param: Any) -> bool:
    """Whether kernel and stride are 1x1 with padding, which cuts cells off."""
    kernel, stride = {*param.kernel_size, param.kernel_h, param.kernel_w}, {*param.stride}
    stride |= {param.stride_h, param.stride_w}
    return kernel <= {0, 1} and stride <= {0, 1} and any((*param.pad, param.pad_h, param.pad_w))


def _refusal(layer: net.Layer, reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"OpenCV computes {layer} otherwise than Caffe",
        at=layer.place,
        because=reason,
        remedy="convert to the portable dialect, or run it with the engine pycaffe",
    )
