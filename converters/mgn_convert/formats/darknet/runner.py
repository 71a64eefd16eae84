"""Runs a Darknet network in the patched engine, under the names of the first graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from mgn_convert.errors import UsageError
from mgn_convert.formats import Source, with_companion
from mgn_convert.formats.darknet.reader import read_network
from mgn_convert.graph import Array, Shape
from mgn_convert.manifest import find_manifest
from mgn_convert.packaging import Processing

if TYPE_CHECKING:
    from mgn_convert.formats.darknet.engine import Network

INPUT = -1
_LARGEST_BATCH = 8


class DarknetRunner:
    """See `mgn_convert.formats.Runner`.

    Tensors are called as the manifest beside the cfg says, else as the sections. Arrays have the shapes of
    the graph that the cfg reads as: (N, C, H, W), and (N, K) after [connected] and [softmax]. The engine
    darknet-plain runs layer after layer in upstream's way, darknet what was prepared for inference.
    """

    processing: Processing | None = None

    def __init__(self, source: Source) -> None:
        """Load cfg and weights. Raises FileFormatError for either, MissingEngineError without a compiler."""
        self.engine = source.engine_of("darknet")
        self._threads = source.threads
        source = with_companion(source, ".weights")
        assert source.path is not None
        assert source.weights is not None
        self._files = source.path, source.weights
        read = read_network(source)
        self._shapes: list[Shape] = [value.shape[1:] for value in read.values]
        self._layers: dict[str, int] = dict(read.layers)
        self.outputs = read.graph.outputs
        self.input_shape: Shape = read.graph.inputs[0].shape[1:]
        part = find_manifest(source.path, "darknet")[1]
        if part is not None:
            self._layers = {t.tensor: t.place["layer"] for t in part.tensors}
            self.outputs = part.outputs
        self.tensors = tuple(self._layers)
        self.input_name = read.graph.inputs[0].name
        self._network = self._open(1)

    def __enter__(self) -> DarknetRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the engine's memory back."""
        self._network.close()

    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """See `Runner.run`."""
        if images.ndim != 4 or images.shape[1:] != self.input_shape or not len(images):
            raise UsageError(
                "the images have another shape",
                because=f"the network takes {['N', *self.input_shape]}",
                got=str(list(images.shape)),
            )
        wanted = {name: self._layer(name) for name in (*self.outputs, *taps)}
        images = images.astype(np.float32, copy=False)
        self._make_room(len(images))
        step = self._network.batch
        found = [self._batch(images[i : i + step], wanted) for i in range(0, len(images), step)]
        return {name: np.concatenate([part[name] for part in found]) for name in wanted}

    def run_isolated(self, tensor: str, reference: Mapping[str, Array]) -> Array:
        """See `Runner.run_isolated`. Layers that `reference` lacks are computed from those before them."""
        layer = self._layer(tensor)
        batches = {len(array) for array in reference.values()}
        if len(batches) != 1:
            raise UsageError("the reference holds values of one batch", got=f"batches {sorted(batches)}")
        count = batches.pop()
        self._make_room(count)
        step, parts = self._network.batch, []
        for start in range(0, count, step):
            held = {i: v[start : start + step] for i, v in self._held(reference).items() if i != layer}
            parts.append(self._compute(layer, held))
        return np.concatenate(parts).reshape(-1, *self._shapes[layer])

    def describe(self, tensor: str) -> str:
        """Such as `layer 12 [convolutional]`."""
        layer = self._layer(tensor)
        return f"layer {layer} [{self._network.layers[layer].type}]"

    def _batch(self, images: Array, wanted: Mapping[str, int]) -> dict[str, Array]:
        arrays = self._network(images, taps=sorted(set(wanted.values())))
        keys = [layer.key for layer in self._network.layers]
        return {name: arrays[keys[i]].reshape(-1, *self._shapes[i]) for name, i in wanted.items()}

    def _held(self, reference: Mapping[str, Array]) -> dict[int, Array]:
        """The reference's values by layer."""
        places = {**self._layers, self.input_name: INPUT}
        return {places[name]: array for name, array in reference.items() if name in places}

    def _as_layer(self, layer: int, array: Array) -> Array:
        """A value shaped and typed as the engine holds it."""
        shape = self.input_shape if layer == INPUT else self._network.layers[layer].shape
        return array.reshape(-1, *shape).astype(np.float32, copy=False)

    def _compute(self, layer: int, known: dict[int, Array]) -> Array:
        """The layer's value, from those that `known` holds; what is computed on the way joins them."""
        pending = [layer]
        while pending:
            current = pending[-1]
            sources = set(self._network.sources(current)) if current != INPUT else set()
            if current == INPUT:
                raise UsageError(
                    "the reference holds too little",
                    because=f"layer {layer} needs the network's input {self.input_name}",
                    got=f"{len(known)} values",
                )
            missing = [source for source in sources if source not in known]
            if missing:
                pending += missing
                continue
            inputs = {source: self._as_layer(source, known[source]) for source in sources}
            known[current] = self._network.forward_layer(current, inputs)
            pending.pop()
        return known[layer]

    def _layer(self, tensor: str) -> int:
        if tensor not in self._layers:
            raise UsageError(
                f"this network has no tensor {tensor}",
                because=f"it has {len(self._layers)}, such as {', '.join(self.tensors[:5])}",
                got=tensor,
            )
        return self._layers[tensor]

    def _make_room(self, batch: int) -> None:
        batch = min(batch, _LARGEST_BATCH)
        if batch > self._network.batch:
            self._network.close()
            self._network = self._open(batch)

    def _open(self, batch: int) -> Network:
        from mgn_convert.formats.darknet.engine import Network

        plain = self.engine == "darknet-plain"
        return Network(*self._files, batch=batch, threads=self._threads, plain=plain)
