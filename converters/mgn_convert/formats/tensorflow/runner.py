"""Running a frozen graph or a SavedModel in TensorFlow, in a process of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mgn_convert.child import Child
from mgn_convert.errors import FileFormatError, MgnConvertError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.tensorflow.environment import ENVIRONMENT, SAVED_MODEL, require_tensorflow
from mgn_convert.formats.tensorflow.layout import ANY
from mgn_convert.graph import Array, Shape
from mgn_convert.manifest import Artefact, Manifest, find_manifest
from mgn_convert.packaging import Processing, out_of_order


def open_runner(source: Source) -> TensorFlowRunner:
    """The network of a .pb file in TensorFlow; a SavedModel by its saved_model.pb.

    Raises MissingEngineError without TensorFlow, FileFormatError for a file it cannot load, UsageError for a
    signature or an output that the file does not have.
    """
    source.engine_of("tensorflow")
    require_tensorflow("running its files")
    assert source.path is not None
    if not source.path.is_file():
        raise FileFormatError(f"there is no {source.path}")
    if source.path.name == SAVED_MODEL:
        from mgn_convert.formats.tensorflow.saved_runner import SavedModelRunner

        return SavedModelRunner(source)
    if source.signature:
        raise UsageError(f"{source.path.name} has no signatures", because="it is a frozen graph")
    return FrozenRunner(source)


class TensorFlowRunner(ABC):
    """A loaded network. Tensors go by the names that the manifest beside the file gives them.

    Values of 4 axes are N, C, H, W on this side. With the postprocessing inside, `run` gives the result for
    the output, unless the output is asked for as a tap: then the embeddings that go into the result.
    """

    engine = "tensorflow"
    input_name: str
    input_shape: Shape
    outputs: tuple[str, ...]
    tensors: tuple[str, ...]

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.manifest, self.artefact = find_manifest(path, "tensorflow")
        self.processing: Processing | None = self.artefact.processing if self.artefact else None
        self._places: dict[str, Mapping[str, Any]] = {}
        if self.artefact:
            self._places = {entry.tensor: entry.place for entry in self.artefact.tensors}
        self._child = Child(f"{__package__}.child", [kind, str(path)], self._failure, ENVIRONMENT)

    def _failure(self, action: str, reason: str, log: str) -> MgnConvertError:
        lines = [line for line in log.splitlines() if line.strip()]
        kind = FileFormatError if action == "load" else MgnConvertError
        return kind(
            f"TensorFlow cannot {action} {self.path}",
            because=" ".join(reason.split())[:400],
            got=lines[-1][:200] if lines and "ended its process" in reason else "",
            remedy="write the file again" if action == "load" else "",
        )

    @property
    def _raw(self) -> bool:
        """Whether pictures of any size go in."""
        return self.processing is not None and self.processing.preprocessing is not None

    @property
    def _mirrored(self) -> bool:
        return self.processing is not None and self.processing.mirrored

    def _known(self, manifest: Manifest, artefact: Artefact) -> None:
        """Names and shapes as the manifest has them."""
        self.input_name, self.input_shape = manifest.input_name, manifest.input_shape
        self.outputs, self.tensors = artefact.outputs, tuple(self._places)

    def _fed(self, images: Array) -> Array:
        """Images as the file wants them. Raises UsageError for another shape."""
        wanted = (3, ANY, ANY) if self._raw else self.input_shape
        array = np.ascontiguousarray(images, np.float32)
        fits = array.ndim == len(wanted) + 1 or not wanted
        if not fits or any(w not in (ANY, n) for n, w in zip(array.shape[1:], wanted, strict=False)):
            names = ["N", *("any" if w == ANY else w for w in wanted)]
            raise UsageError(
                f"{self.path.name} takes another input",
                because=f"its shape is [{', '.join(map(str, names))}]",
                got=str(list(array.shape)),
            )
        return inward(array)

    def _found(self, tensor: str, array: Array) -> Array:
        """A value as this side has it, its parts in the order of the first graph."""
        blocks: Sequence[int] = self._places.get(tensor, {}).get("blocks", ())
        return out_of_order(outward(array), blocks)

    def _tensor(self, name: str) -> str:
        if name not in self._places:
            raise UsageError(
                f"{self.path.name} has no tensor {name!r} that can be tapped",
                got=", ".join(list(self._places)[:8]) or "none: no manifest lies beside the file",
            )
        return str(self._places[name]["value"])

    @abstractmethod
    def _entry(self) -> str:
        """Where the network's own input is."""

    @abstractmethod
    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """Outputs and taps for images (N, C, H, W), or pictures (N, 3, h, w) of 0..255 with the preprocessing
        inside, as float32. Raises UsageError for what does not fit.
        """

    def run_isolated(self, tensor: str, reference: Mapping[str, Array]) -> Array:
        """`tensor` from the nearest values before it that `reference` holds, by tensor or input name."""
        target = self._tensor(tensor)
        known = {self._tensor(name): name for name in reference if name in self._places and name != tensor}
        if self.input_name in reference:
            known[self._entry()] = self.input_name
        known.pop(target, None)
        needed: list[str] = self._child.ask(("needed", target, sorted(known)))
        missing = [name for name in needed if name not in known]
        if missing:
            raise UsageError(
                f"{tensor} cannot be computed alone", because=f"it needs {missing[0] or self.input_name}"
            )
        feeds = {}
        for place in needed:
            name = known[place]
            array = np.ascontiguousarray(reference[name], np.float32)
            feeds[place] = inward(into_order(array, self._places.get(name, {}).get("blocks", ())))
        (found,) = self._child.ask(("run", feeds, [target]))
        return self._found(tensor, found)

    def describe(self, tensor: str) -> str:
        """The node that makes the tensor, as `Conv2D "conv1"`."""
        return str(self._child.ask(("describe", self._tensor(tensor))))

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def __enter__(self) -> TensorFlowRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FrozenRunner(TensorFlowRunner):
    """A GraphDef in a Session. Without a manifest: its only Placeholder, and the tensors nobody reads."""

    def __init__(self, source: Source) -> None:
        assert source.path is not None
        super().__init__(source.path, "frozen")
        try:
            ends = self._child.ask(("ends",))
            self._take(source, ends["inputs"], ends["outputs"])
        except BaseException:
            self.close()
            raise

    def _take(self, source: Source, inputs: dict[str, list[int] | None], sinks: list[str]) -> None:
        """Names and shapes from the manifest, else from the graph."""
        if len(inputs) != 1:
            raise UsageError(
                f"{self.path.name} has {len(inputs)} inputs",
                because="a runner feeds images to one input",
                got=", ".join(inputs),
            )
        ((self._start, sizes),) = inputs.items()
        self._result = ""
        if self.manifest is not None and self.artefact is not None:
            self._known(self.manifest, self.artefact)
            self._result = str(self.artefact.result["value"]) if self._mirrored else ""
        else:
            self.input_name = self.manifest.input_name if self.manifest else self._start
            self.input_shape = source.input_shape or channels_first(sizes)
            self._places = {name: {"value": name} for name in sinks}
            self.outputs = self.tensors = tuple(sinks)
        if source.output is not None:
            self._pick(source.output, sinks)

    def _pick(self, wanted: str, sinks: list[str]) -> None:
        """Let the output be the tensor `wanted`, by its name here or in the manifest."""
        name = wanted if ":" in wanted else f"{wanted}:0"
        if name == self._result:
            return
        known = [tensor for tensor, at in self._places.items() if wanted == tensor or at["value"] == name]
        if not known and not self._child.ask(("has", name)):
            names = dict.fromkeys([*self.tensors, *sinks])
            raise UsageError(f"{self.path.name} has no tensor {wanted!r}", got=", ".join([*names][-8:]))
        if not known:
            self._places[name] = {"value": name}
            self.tensors = (*self.tensors, name)
        if wanted not in self.outputs:
            self._result = ""
        self.outputs = (known[0] if known else name,)

    def _entry(self) -> str:
        return str(self.artefact.input["value"]) if self.artefact and self.artefact.input else self._start

    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """See `TensorFlowRunner.run`."""
        tapped = tuple(taps)
        places = {name: self._tensor(name) for name in dict.fromkeys([*self.outputs, *tapped])}
        if self._result and self.outputs[0] not in tapped:
            places[self.outputs[0]] = self._result
        found = self._child.ask(("run", {self._start: self._fed(images)}, list(places.values())))
        return {name: self._found(name, array) for name, array in zip(places, found, strict=True)}


def channels_first(sizes: Sequence[int] | None) -> Shape:
    """Sizes of TensorFlow's, the batch among them, as this side has them for one image; -1 for any."""
    if not sizes:
        return ()
    return (sizes[3], sizes[1], sizes[2]) if len(sizes) == 4 else tuple(sizes[1:])


def inward(array: Array) -> Array:
    """A value as TensorFlow has it."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def outward(array: Array) -> Array:
    """A value as this side has it."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


def into_order(embeddings: Array, blocks: Sequence[int]) -> Array:
    """Embeddings (N, D) of the first graph with their parts as the file has them."""
    if not blocks:
        return embeddings
    parts = embeddings.reshape(len(embeddings), len(blocks), -1)
    return np.ascontiguousarray(parts[:, list(blocks)].reshape(embeddings.shape))
