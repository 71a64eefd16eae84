"""PyTorch as an engine: the captured program, run call by call so that every tensor can be tapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats.pytorch.capture import Captured
from mgn_convert.formats.pytorch.network import Loaded
from mgn_convert.formats.pytorch.program import call, path_of, resolved
from mgn_convert.graph import Array, Shape
from mgn_convert.packaging import Processing


class PyTorchRunner:
    """Runs a loaded network on the CPU.

    Without taps the network's own code runs where there is any, and where it keeps the batch axis; else its
    program does.
    dtype: torch.float32, or torch.float64 to measure others against.
    """

    processing: Processing | None = None

    def __init__(self, loaded: Loaded, dtype: torch.dtype = torch.float32) -> None:
        captured: Captured = loaded.captured
        self.engine = f"PyTorch {torch.__version__}"
        self.input_shape: Shape = captured.program.input_shape
        self.outputs = captured.graph.outputs
        self.tensors = tuple(captured.nodes)
        self._graph = captured.graph
        self.input_name = self._graph.inputs[0].name
        self._program = captured.program
        self._nodes = captured.nodes
        self._chunk = None if captured.any_batch else captured.program.batch
        self._dtype = dtype
        self._module = loaded.module if dtype == torch.float32 and self._chunk is None else None
        self._state = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in captured.program.state.items()
        }

    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """See `mgn_convert.formats.Runner`. Raises UnsupportedError where the network's own code fails."""
        wanted = list(dict.fromkeys([*self.outputs, *taps]))
        self._check(images, wanted)
        try:
            return self._run(images, wanted)
        except Exception as error:
            raise UnsupportedError(
                f"the network does not run on {len(images)} images",
                because=(str(error).splitlines() or [type(error).__name__])[0],
                got=f"input {'x'.join(map(str, images.shape))}",
                remedy="a change to its code: it must run on any number of images",
            ) from error

    def _run(self, images: Array, wanted: list[str]) -> dict[str, Array]:
        if self._module is not None and set(wanted) == set(self.outputs):
            found = self._run_module(images)
            if found is not None:
                return found
        if self._chunk is None:
            return self._run_program(images, wanted)
        starts = range(0, len(images), self._chunk)
        parts = [self._run_chunk(images[i : i + self._chunk], wanted) for i in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in wanted}

    def run_isolated(self, tensor: str, reference: Mapping[str, Array]) -> Array:
        """See `mgn_convert.formats.Runner`."""
        have = {*self._nodes, self.input_name} - {tensor}
        known = {self._node(name): array for name, array in reference.items() if name in have}
        with torch.no_grad():
            return _Isolated(self._program.module, self._state, known, self._dtype).value(self._node(tensor))

    def describe(self, tensor: str) -> str:
        """The module path and the line of code."""
        if tensor not in self._graph:
            return "input"
        return f"{self._graph.node(tensor).op} at {self._graph.node(tensor).origin}"

    def close(self) -> None:
        """Let go of the weights."""
        self._state, self._module = {}, None

    def __enter__(self) -> PyTorchRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, images: Array, wanted: Iterable[str]) -> None:
        if images.ndim != 4 or images.shape[1:] != self.input_shape or not len(images):
            raise UsageError(
                "the images have another shape",
                got=f"{list(images.shape)}, wanted {['N', *self.input_shape]}",
            )
        for name in wanted:
            self._node(name)

    def _node(self, tensor: str) -> str:
        if tensor == self.input_name:
            return self._program.input
        if tensor not in self._nodes:
            raise UsageError(
                f"the network has no tensor {tensor!r}", remedy=f"one such as {self.tensors[-1]!r}"
            )
        return self._nodes[tensor]

    def _run_module(self, images: Array) -> dict[str, Array] | None:
        """Outputs from the network's own code; None if it drops the batch axis for this batch."""
        assert self._module is not None
        self._module.eval()
        with torch.no_grad():
            result: Any = self._module(torch.from_numpy(np.ascontiguousarray(images, np.float32)))
        by_path = {path_of(keys): leaf for keys, leaf in pytree.tree_flatten_with_path(result)[0]}
        names = {node: tensor for tensor, node in self._nodes.items()}
        found = {names[node]: by_path[path] for path, node in self._program.outputs.items() if node in names}
        if set(found) != set(self.outputs) or any(t.shape[:1] != images.shape[:1] for t in found.values()):
            return None
        return {name: found[name].numpy().copy() for name in self.outputs}

    def _run_chunk(self, images: Array, wanted: list[str]) -> dict[str, Array]:
        """A program for one batch size alone; what is missing is filled up and cut off again."""
        assert self._chunk is not None
        full = np.concatenate([images, np.repeat(images[-1:], self._chunk - len(images), axis=0)])
        return {name: array[: len(images)] for name, array in self._run_program(full, wanted).items()}

    def _run_program(self, images: Array, wanted: list[str]) -> dict[str, Array]:
        taps = {self._node(name): name for name in wanted}
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self._dtype)
        interpreter = _Tapping(self._program.module, taps)
        values = {**self._state, self._program.input: tensor}
        with torch.no_grad():
            interpreter.run(*(values[n.name] for n in interpreter.graph.find_nodes(op="placeholder")))
        return {name: interpreter.found[name] for name in wanted}


class _Tapping(fx.Interpreter):
    """Keeps copies of the results of some nodes, {node: tensor name}."""

    def __init__(self, module: fx.GraphModule, taps: Mapping[str, str]) -> None:
        super().__init__(module)
        self.found: dict[str, Array] = {}
        self._taps = taps

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.name in self._taps:
            self.found[self._taps[n.name]] = result.numpy().copy()
        return result


class _Isolated:
    """Computes one node from the nearest values that are known, and from nothing else."""

    def __init__(
        self,
        module: fx.GraphModule,
        state: Mapping[str, Tensor],
        known: Mapping[str, Array],
        dtype: torch.dtype,
    ) -> None:
        self._nodes = {node.name: node for node in module.graph.nodes}
        self._values: dict[str, Any] = dict(state)
        self._values.update({k: torch.from_numpy(np.array(v)).to(dtype) for k, v in known.items()})
        self._batch = next((len(array) for array in known.values()), 1)

    def value(self, name: str) -> Array:
        """The value of the node called `name`. Raises UsageError if the known values do not lead to it."""
        result: Array = self._compute(self._nodes[name]).numpy()
        return result.copy()

    def _compute(self, target: fx.Node) -> Any:
        pending = [target]
        while pending:
            node = pending[-1]
            if str(node.target) == "aten.sym_size.int" and node.args[1] == 0:
                self._values[node.name] = self._batch
                pending.pop()
                continue
            lacking = [n for n in node.all_input_nodes if n.name not in self._values]
            if node.op == "placeholder":
                raise UsageError(f"the reference values do not lead to {target.name}", got=f"no {node.name}")
            if lacking:
                pending.extend(lacking)
                continue
            self._values[node.name] = call(node, *resolved(node, self._values))
            pending.pop()
        return self._values[target.name]
