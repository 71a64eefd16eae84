"""A SavedModel beside TensorFlow: its signatures, and the tensors of its network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mgn_convert.formats.tensorflow.child import nearest, sizes_of


class Saved:
    """Signatures are called as clients call them. Tensors inside are computed by the nodes of the function
    `network`, those in between alone, with the model's own variables.
    """

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        self.tf = tf
        self.model = tf.saved_model.load(str(path.parent))

    @cached_property
    def network(self) -> Any:
        """The function over the file's own inputs."""
        return self.model.network.concrete_functions[0]

    @cached_property
    def definition(self) -> Any:
        """Its GraphDef."""
        return self.network.graph.as_graph_def()

    @cached_property
    def nodes(self) -> dict[str, Any]:
        """Its nodes by name."""
        return {node.name: node for node in self.definition.node}

    @cached_property
    def start(self) -> str:
        """The tensor of its first input."""
        return str(self.network.inputs[0].name)

    @cached_property
    def captures(self) -> dict[str, Any]:
        """Tensor of the function -> the variable outside that it stands for."""
        inside = (each.name for each in self.network.graph.internal_captures)
        return dict(zip(inside, self.network.captured_inputs, strict=True))

    def signatures(self) -> dict[str, Any]:
        """Name -> its inputs (name -> type and sizes) and the names of its outputs."""
        found = {}
        for name, function in self.model.signatures.items():
            _, inputs = function.structured_input_signature
            found[name] = {
                "inputs": {k: (spec.dtype.name, sizes_of(spec.shape)) for k, spec in inputs.items()},
                "outputs": sorted(function.structured_outputs),
            }
        return found

    def call(self, signature: str, feeds: dict[str, Any]) -> dict[str, Any]:
        """All outputs of a signature."""
        tensors = {name: self.tf.constant(array) for name, array in feeds.items()}
        found = self.model.signatures[signature](**tensors)
        return {name: tensor.numpy() for name, tensor in found.items()}

    def run(self, feeds: dict[str, Any], fetches: list[str]) -> list[Any]:
        """Those tensors of the network; the feed "" is its input."""
        tf, feeds = self.tf, {name or self.start: array for name, array in feeds.items()}
        part, given = self._between(feeds, fetches)
        made = [name for name in fetches if name not in feeds]

        def network() -> Any:
            fed = {name: tf.constant(feeds[name]) for name in given if name in feeds}
            graph = tf.compat.v1.get_default_graph()
            fed |= {name: graph.capture(self.captures[name]) for name in given if name in self.captures}
            return tf.import_graph_def(part, fed, made, name="")

        found = dict(zip(made, tf.function(network)(), strict=True)) if made else {}
        return [found[name].numpy() if name in found else feeds[name] for name in fetches]

    def _between(self, feeds: dict[str, Any], fetches: list[str]) -> tuple[Any, set[str]]:
        """The nodes from feeds to fetches, and the tensors that they read from outside."""
        kept, given = set(), set()
        waiting = [name for name in fetches if name not in feeds]
        while waiting:
            tensor = waiting.pop()
            if tensor in feeds or tensor in self.captures:
                given.add(tensor)
                continue
            name = tensor.partition(":")[0]
            if name not in kept:
                kept.add(name)
                waiting.extend(self._inputs(tensor))
        part = self.tf.compat.v1.GraphDef()
        part.versions.CopyFrom(self.definition.versions)
        part.node.extend(node for name, node in self.nodes.items() if name in kept)
        for node in part.node:
            node.input[:] = [each for each in node.input if not each.startswith("^")]
        return part, given

    def needed(self, target: str, known: list[str]) -> list[str]:
        """See `nearest`. The network's input is ""."""
        return ["" if n == self.start else n for n in nearest(target, {*known, self.start}, self._inputs)]

    def _inputs(self, tensor: str) -> Sequence[str]:
        node = self.nodes[tensor.partition(":")[0]]
        read = [name for name in node.input if not name.startswith("^")]
        return [name if ":" in name else f"{name}:0" for name in read]

    def describe(self, tensor: str) -> str:
        """The node that makes the tensor."""
        node = self.nodes[tensor.partition(":")[0]]
        return f'{node.op} "{node.name}"'
