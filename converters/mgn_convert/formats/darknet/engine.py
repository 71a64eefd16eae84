"""Runs Darknet networks on arrays: `with Network("net.cfg", "net.weights") as net: outputs = net(images)`."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgn_convert.errors import UsageError
from mgn_convert.formats.darknet.library import FLOATS, Image, Options, Shape, failure, load_library

Floats = npt.NDArray[np.float32]
LayerRef = int | str
INPUT = -1


@dataclass(frozen=True)
class Layer:
    """One layer: its index, the section's full name, its name= key or "", and C, H, W of one output."""

    index: int
    type: str
    name: str
    shape: tuple[int, int, int]

    @property
    def key(self) -> str:
        """What the layer is called in results: its name, or its index as text."""
        return self.name or str(self.index)


class Network:
    """A network loaded into the patched Darknet engine, for up to `batch` images at once.

    It is prepared for inference: batch norm folded, activations and sums fused, memory shared by layers that
    are not needed at the same time. `plain` runs it in upstream's way instead, layer after layer, as a
    reference; `keep_layers` holds every layer's output, which layers named in calls otherwise cost a new plan
    for. `threads` work on one call; by default OMP_NUM_THREADS, else one per core. `amx` is whether to use
    the matrix unit of processors that have one.

    Raises FileFormatError for a cfg or weights file that breaks a rule (the message names cfg line and
    section, or the bytes expected and found) and UnsupportedError for layer kinds the engine leaves out.
    Calls from several threads wait for each other; close() gives the memory back.
    """

    def __init__(
        self,
        cfg: str | Path,
        weights: str | Path | None = None,
        batch: int = 1,
        *,
        threads: int | None = None,
        plain: bool = False,
        keep_layers: bool = False,
        amx: bool = True,
    ) -> None:
        self._handle: ctypes.c_void_p | None = None
        self._engine = load_library()
        self._lock = threading.Lock()
        handle, message = ctypes.c_void_p(), ctypes.create_string_buffer(640)
        files = [os.fsencode(path) if path is not None else None for path in (cfg, weights)]
        if threads is not None and threads < 1:
            raise UsageError("threads must be at least 1", got=str(threads))
        options = Options(batch, threads or 0, plain, keep_layers, not amx)
        status = self._engine.dk_load(
            *files, ctypes.byref(options), ctypes.byref(handle), message, len(message)
        )
        if status:
            at = str(cfg) if status in (1, 6) or weights is None else f"{cfg}, {weights}"
            words = message.value.decode(errors="replace")
            raise failure(status, words, "Darknet cannot load this network", at)
        self._handle = handle
        self.batch = batch
        self.input_shape = self._shape(INPUT)
        self._last_batch = batch
        self.layers = [self._layer(index) for index in range(self._engine.dk_layer_count(handle))]

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Frees the network; more calls than one do nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._engine.dk_free(handle)

    def __call__(
        self,
        array: npt.NDArray[Any],
        taps: Sequence[LayerRef] = (),
        *,
        bgr: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        scale: float | None = None,
    ) -> dict[str, Floats]:
        """Runs the network and returns copies of its output and of the layers in `taps`, each (N, C, H, W).

        `array` is a batch of floats (N, C, H, W), converted to float32, or uint8 images (H, W, C) or
        (N, H, W, C) of the network's size and of any strides. Only images are preprocessed: `bgr` puts the
        last channel first, then (value * scale - mean) / std with scale 1/255, mean 0 and std 1 unless given.
        Keys are layer names, or indices as text. Raises UsageError for an array of another type or shape and
        for unknown taps.
        """
        wanted = [self.layers[-1], *(self.layers[self._index(tap)] for tap in taps)]
        images = array.dtype == np.uint8
        if not images and (bgr or mean is not None or std is not None or scale is not None):
            raise UsageError("bgr, mean, std and scale are for uint8 images", got=str(array.dtype))
        with self._lock:
            self._keep([layer.index for layer in wanted])
            if images:
                batch = self._put_images(array, bgr, mean, std, 1 / 255 if scale is None else scale)
                self._check(self._engine.dk_predict(self._open(), None, batch))
            else:
                values = self._floats(array, INPUT)
                batch = len(values)
                self._check(self._engine.dk_predict(self._open(), _pointer(values), batch))
            self._last_batch = batch
            return {layer.key: self._output(layer.index, batch) for layer in wanted}

    def forward_layer(self, layer: LayerRef, inputs: Mapping[int, npt.NDArray[Any]]) -> Floats:
        """Runs one layer alone on given values and returns its output (N, C, H, W).

        `inputs` maps each index in `sources(layer)` to an array (N, C, H, W); -1 is the network's input.
        """
        index = self._index(layer)
        sources = self.sources(index)
        if set(inputs) != set(sources):
            what = f"layer {index} reads the outputs of {sorted(set(sources))}"
            raise UsageError(what, got=str(sorted(inputs)))
        arrays = {source: self._floats(array, source) for source, array in inputs.items()}
        batches = {len(values) for values in arrays.values()}
        if len(batches) != 1:
            raise UsageError("inputs differ in batch size", got=str(sorted(batches)))
        batch = batches.pop()
        with self._lock:
            for source, values in arrays.items():
                self._check(self._engine.dk_set_output(self._open(), source, _pointer(values), batch))
            self._check(self._engine.dk_forward_layer(self._open(), index, batch))
            self._last_batch = batch
            return self._output(index, batch)

    def margins(self, layer: LayerRef) -> Floats:
        """For each image of the last run, by how much the last kept score of a [topk] layer beats the best
        dropped one: 0 for a tie, inf when all channels are kept. Raises UsageError for another kind of layer.
        """
        with self._lock:
            values = np.empty(self._last_batch, np.float32)
            index = self._index(layer)
            self._check(self._engine.dk_topk_margins(self._open(), index, _pointer(values), values.size))
            return values

    def sources(self, layer: LayerRef) -> tuple[int, ...]:
        """Indices of the layers whose outputs `layer` reads, -1 for the network's input."""
        index = self._index(layer)
        count = self._engine.dk_layer_sources(self._open(), index, None, 0)
        found = (ctypes.c_int * count)()
        self._engine.dk_layer_sources(self._open(), index, found, count)
        return tuple(found)

    def _keep(self, layers: list[int]) -> None:
        """Has these layers' outputs kept from the next run on."""
        self._check(self._engine.dk_keep(self._open(), (ctypes.c_int * len(layers))(*layers), len(layers)))

    def _open(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise UsageError("the network is closed")
        return self._handle

    def _check(self, status: int) -> None:
        if status:
            message = self._engine.dk_message(self._open()).decode(errors="replace")
            raise failure(status, message, "Darknet cannot run this network")

    def _shape(self, index: int) -> tuple[int, int, int]:
        shape = Shape()
        self._check(self._engine.dk_layer_shape(self._open(), index, ctypes.byref(shape)))
        return shape.c, shape.h, shape.w

    def _layer(self, index: int) -> Layer:
        name, kind = self._engine.dk_layer_name, self._engine.dk_layer_type
        handle = self._open()
        return Layer(index, kind(handle, index).decode(), name(handle, index).decode(), self._shape(index))

    def _index(self, layer: LayerRef) -> int:
        for known in self.layers:
            if layer == known.name or layer == known.index:
                return known.index
        names = ", ".join(known.name for known in self.layers if known.name)
        raise UsageError(
            f"no layer {layer!r} in this network", because=f"it has 0 to {len(self.layers) - 1}", got=names
        )

    def _floats(self, array: npt.NDArray[Any], index: int) -> Floats:
        """`array` as contiguous float32 (N, C, H, W) of the shape that layer `index` gives."""
        shape = self.input_shape if index == INPUT else self.layers[index].shape
        if not np.issubdtype(array.dtype, np.floating):
            raise UsageError("values must be floats", got=str(array.dtype))
        if array.ndim != 4 or array.shape[1:] != shape:
            because = f"it must be (N, C, H, W) with {shape}"
            raise UsageError("wrong shape of values", because=because, got=str(array.shape))
        self._check_batch(len(array))
        return np.ascontiguousarray(array, dtype=np.float32)

    def _check_batch(self, batch: int) -> None:
        if not 1 <= batch <= self.batch:
            raise UsageError(
                "too many images at once" if batch else "no image given",
                because=f"the network was loaded for a batch of 1 to {self.batch}",
                got=str(batch),
                remedy=f"Network(..., batch={batch})" if batch else "",
            )

    def _put_images(
        self,
        array: npt.NDArray[np.uint8],
        bgr: bool,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        scale: float,
    ) -> int:
        channels, height, width = self.input_shape
        images = array[None] if array.ndim == 3 else array
        if images.ndim != 4 or images.shape[1:] != (height, width, channels):
            because = f"this network takes (H, W, C) = {(height, width, channels)}, and nothing is resized"
            raise UsageError("wrong shape of uint8 image", because=because, got=str(array.shape))
        self._check_batch(len(images))
        for item, image in enumerate(images):
            form = Image(
                image.ctypes.data_as(ctypes.POINTER(ctypes.c_ubyte)),
                *image.shape,
                *image.strides,
                bgr,
                scale,
                _per_channel("mean", mean, channels),
                _per_channel("std", std, channels),
            )
            self._check(self._engine.dk_put_image(self._open(), item, ctypes.byref(form)))
        return len(images)

    def _output(self, index: int, batch: int) -> Floats:
        values = np.empty((batch, *self.layers[index].shape), np.float32)
        self._check(self._engine.dk_output(self._open(), index, _pointer(values), values.size))
        return values


def _pointer(values: Floats) -> Any:
    return values.ctypes.data_as(FLOATS)


def _per_channel(name: str, values: Sequence[float] | None, channels: int) -> Any:
    if values is None:
        return None
    if len(values) != channels:
        raise UsageError(f"{name} must hold one value for each of {channels} channels", got=str(list(values)))
    return (ctypes.c_double * channels)(*values)
