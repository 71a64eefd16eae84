"""onnxruntime as the engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from mgn_convert.errors import FileFormatError, MissingEngineError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.onnx.model import Model, load
from mgn_convert.formats.onnx.target import METADATA
from mgn_convert.graph import Array, Shape
from mgn_convert.manifest import Artefact, find_manifest
from mgn_convert.packaging import Processing, out_of_order
from mgn_convert.protobuf import wire

_GRAPH, _OUTPUT = 7, 12  # field numbers of ModelProto and GraphProto


class OnnxRunner:
    """Runs on the CPU, with onnxruntime's default optimisations.

    A tensor goes by the name that the manifest beside the file gives it, else by its name in the file.
    """

    engine = "onnxruntime"

    def __init__(self, source: Source) -> None:
        """Load the model. Raises FileFormatError for a file that is none, UsageError for open sizes."""
        source.engine_of("onnx")
        assert source.path is not None
        self.path = source.path
        self._threads = source.threads
        self._loaded: Model | None = None
        self._session = self._open(str(self.path))
        manifest, part = find_manifest(self.path, "onnx")
        inside = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        self.processing: Processing | None = Processing.from_json(json.loads(inside)) if inside else None
        self._input, self._batch, self.input_shape = self._entry(source)
        self.input_name = manifest.input_name if manifest else self._input
        self._fed = {self._input: self._input, self.input_name: self._input}
        self._blocks: dict[str, tuple[int, ...]] = {}
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        if part is None:
            self._values = {name: name for name in dict.fromkeys([*self._made(), *self.outputs])}
        else:
            self._take(part)
        self.tensors = tuple(self._values)
        self._values.update((name, name) for name in self.outputs if name not in self._values)
        if source.output is not None:
            self.outputs = (self._known(source.output),)
        self._tapping: dict[frozenset[str], Any] = {}

    def _take(self, part: Artefact) -> None:
        """Names and places as the manifest records them."""
        self._values = {t.tensor: t.place["value"] for t in part.tensors}
        self._blocks = {t.tensor: tuple(t.place.get("blocks", ())) for t in part.tensors}
        self._fed[self.input_name] = part.input.get("value", self._input)
        self.outputs = part.outputs
        if part.result:
            self.outputs = (part.result["value"],)
            self._blocks[self.outputs[0]] = tuple(part.result.get("blocks", ()))

    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """See `mgn_convert.formats.Runner`."""
        self._check(images)
        tensors = list(dict.fromkeys([*self.outputs, *taps]))
        values = {tensor: self._value(tensor) for tensor in tensors}
        session = self._with_outputs(frozenset(values.values()))
        chunk = self._batch or len(images)
        parts: list[list[Array]] = []
        for start in range(0, len(images), chunk):
            part = images[start : start + chunk]
            filled = np.concatenate([part, np.repeat(part[-1:], chunk - len(part), axis=0)])
            found = self._ask(session, list(values.values()), {self._input: filled})
            parts.append([array[: len(part)] for array in found] if self._batch else found)
        joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return {t: self._ordered(t, array) for t, array in zip(tensors, joined, strict=True)}

    def run_isolated(self, tensor: str, reference: Mapping[str, Array]) -> Array:
        """See `mgn_convert.formats.Runner`."""
        target = self._value(tensor)
        known = {self._fed[name]: name for name in reference if name in self._fed}
        plain = [name for name in reference if name in self._values and not self._blocks.get(name)]
        known |= {self._values[name]: name for name in plain if self._values[name] != target}
        part, inputs = _part(self._model(), target, set(known))
        options = self._options()
        session = self._open(part.SerializeToString(), options)
        feeds = {value: reference[known[value]] for value in inputs}
        return self._ordered(tensor, self._ask(session, [target], feeds)[0])

    def describe(self, tensor: str) -> str:
        """The operator that makes the tensor, as `Conv "conv1"`."""
        value = self._value(tensor)
        node = next((node for node in self._model().nodes if value in node.output), None)
        return f'{node.op_type} "{node.name or value}"' if node is not None else "input"

    def close(self) -> None:
        """Let go of the sessions."""
        self._session, self._loaded = None, None
        self._tapping.clear()

    def __enter__(self) -> OnnxRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _entry(self, source: Source) -> tuple[str, int | None, Shape]:
        """The input's name, its batch where that is fixed, and (C, H, W) of what the network itself takes."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise UsageError(
                f"{self.path.name} has {len(inputs)} inputs",
                because="a runner feeds images to one input",
                got=", ".join(entry.name for entry in inputs),
            )
        batch, *shape = inputs[0].shape
        if self.processing is not None and (own := self.processing.preprocessing) is not None:
            shape = [len(own.mean), own.height, own.width]
        shape = list(source.input_shape or shape)
        if not shape or not all(isinstance(n, int) for n in shape):
            raise UsageError(
                f"{self.path.name} leaves the size of its images open",
                got=f"{inputs[0].name} {inputs[0].shape}",
                remedy="--input-shape C,H,W",
            )
        return inputs[0].name, batch if isinstance(batch, int) else None, tuple(shape)

    def _open(self, model: str | bytes, options: Any = None) -> Any:
        runtime = _onnxruntime()
        try:
            return runtime.InferenceSession(
                model, options or self._options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common type but this
            if not self.path.is_file():
                raise FileFormatError(f"there is no file {self.path}") from None
            raise FileFormatError(
                f"onnxruntime cannot load {self.path.name}", because=_first_line(error)
            ) from None

    def _options(self) -> Any:
        options = _onnxruntime().SessionOptions()
        options.log_severity_level = 4
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        elif threads := os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]:
            options.intra_op_num_threads = int(threads) if threads.isdigit() else 0
        folder = str(self.path.resolve().parent)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        return options

    def _with_outputs(self, values: frozenset[str]) -> Any:
        """A session that gives these values: outputs behind the file's bytes are merged into its graph."""
        present = {output.name for output in self._session.get_outputs()}
        lacking = sorted(values - present)
        if not lacking:
            return self._session
        if values not in self._tapping:
            infos = [helper.make_empty_tensor_value_info(name).SerializeToString() for name in lacking]
            outputs = b"".join(wire.prefix(_OUTPUT, len(info)) + info for info in infos)
            model = self.path.read_bytes() + wire.prefix(_GRAPH, len(outputs)) + outputs
            self._tapping = {values: self._open(model)}
        return self._tapping[values]

    def _ask(self, session: Any, values: list[str], feeds: Mapping[str, Array]) -> list[Array]:
        arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in feeds.items()}
        try:
            found: list[Array] = session.run(values, arrays)
        except Exception as error:  # as above
            raise UsageError(f"onnxruntime cannot run {self.path.name}", because=_first_line(error)) from None
        return found

    def _model(self) -> Model:
        if self._loaded is None:
            self._loaded = load(self.path)
        return self._loaded

    def _made(self) -> list[str]:
        proto = onnx.load(self.path, load_external_data=False)
        return [name for node in proto.graph.node for name in node.output if name]

    def _known(self, value: str) -> str:
        if value not in self._values:
            raise UsageError(
                f"{self.path.name} has no tensor {value!r}",
                got=", ".join(list(self._values)[-8:]),
                remedy="one of these, or another value of the file",
            )
        return value

    def _value(self, tensor: str) -> str:
        return self._values[self._known(tensor)]

    def _ordered(self, tensor: str, array: Array) -> Array:
        return out_of_order(array, self._blocks.get(tensor, ()))

    def _check(self, images: Array) -> None:
        wanted: tuple[int | str, ...] = self.input_shape
        if self.processing is not None and self.processing.preprocessing is not None:
            wanted = (3, "h", "w")
        fits = images.ndim == len(wanted) + 1 and len(images) > 0
        if not fits or any(
            isinstance(n, int) and n != m for n, m in zip(wanted, images.shape[1:], strict=True)
        ):
            raise UsageError(
                f"{self.path.name} takes another input {self._input!r}",
                because=f"its shape is {['N', *wanted]}",
                got=str(list(images.shape)),
            )


def open_runner(source: Source) -> OnnxRunner:
    """The network in onnxruntime. Raises MissingEngineError without it."""
    return OnnxRunner(source)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingEngineError(
            "onnxruntime cannot be imported", because=str(error), remedy="pip install onnxruntime"
        ) from None
    return onnxruntime


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _part(model: Model, target: str, known: set[str]) -> tuple[onnx.ModelProto, list[str]]:
    """A model that computes `target` from the nearest known values, and their names."""
    needed, inputs, nodes, weights = {target}, [], [], []
    for node in reversed(model.nodes):
        if needed.isdisjoint(node.output):
            continue
        nodes.append(node)
        for name in filter(None, node.input):
            if name in known and name not in inputs:
                inputs.append(name)
            elif name in model.constants and name not in needed:
                weights.append(onnx.numpy_helper.from_array(model.constants[name], name))
            if name not in known:
                needed.add(name)
    made = {name for node in nodes for name in node.output}
    lost = sorted(needed - made - {w.name for w in weights} - {target})
    if lost:
        raise UsageError(f"the reference values do not lead to {target}", got=f"no {lost[0]}")
    graph = helper.make_graph(
        nodes[::-1],
        "part",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_empty_tensor_value_info(target)],
        weights,
    )
    opsets = [helper.make_opsetid("", model.opset)]
    version = helper.find_min_ir_version_for(opsets)
    return helper.make_model(graph, opset_imports=opsets, ir_version=version), inputs
