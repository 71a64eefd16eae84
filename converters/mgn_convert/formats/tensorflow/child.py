"""What runs beside TensorFlow: loads a frozen graph or a SavedModel, then answers requests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mgn_convert.child import serve


def main() -> None:
    """sys.argv: "frozen" or "saved", path of the .pb file. A request is (action, arguments...)."""

    def start() -> Callable[[Any], Any]:
        kind, path = sys.argv[1], Path(sys.argv[2])
        if kind == "frozen":
            network: Any = Frozen(path)
        else:
            from mgn_convert.formats.tensorflow.saved_child import Saved

            network = Saved(path)
        return lambda request: getattr(network, request[0])(*request[1:])

    serve(start)


def nearest(target: str, known: set[str], inputs: Callable[[str], Sequence[str]]) -> list[str]:
    """The tensors among `known` from which `target` can be computed, going back no further than needed.

    inputs: tensor -> the tensors that its node reads.
    """
    found, seen, waiting = [], {target}, list(inputs(target))
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in known:
            found.append(name)
        else:
            waiting.extend(inputs(name))
    return sorted(found)


class Frozen:
    """A GraphDef in a Session that folds and fuses nothing beforehand, which would take much memory."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        definition = tf.compat.v1.GraphDef()
        definition.ParseFromString(path.read_bytes())
        if not definition.node:
            raise ValueError("the file holds no nodes of a graph")
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.import_graph_def(definition, name="")
        del definition
        self.session = tf.compat.v1.Session(graph=self.graph, config=plain_config(tf))

    def ends(self) -> dict[str, Any]:
        """Placeholders with their sizes, and the tensors of nodes that nobody reads."""
        nodes = self.graph.get_operations()
        inputs = {n.outputs[0].name: sizes_of(n.outputs[0].shape) for n in nodes if n.type == "Placeholder"}
        leaves = [n for n in nodes if n.outputs and n.type not in ("Placeholder", "Const")]
        sinks = [n.outputs[0].name for n in leaves if not any(o.consumers() for o in n.outputs)]
        return {"inputs": inputs, "outputs": sinks}

    def has(self, tensor: str) -> bool:
        """Whether there is such a tensor."""
        try:
            self.graph.get_tensor_by_name(tensor)
        except (KeyError, ValueError):
            return False
        return True

    def run(self, feeds: dict[str, Any], fetches: list[str]) -> list[Any]:
        """Those tensors, from those feeds."""
        return list(self.session.run(fetches, feeds))

    def needed(self, target: str, known: list[str]) -> list[str]:
        """See `nearest`. Placeholders that are met on the way are among them."""
        return nearest(target, {*known, *self.ends()["inputs"]}, self._inputs)

    def _inputs(self, tensor: str) -> list[str]:
        return [each.name for each in self.graph.get_tensor_by_name(tensor).op.inputs]

    def describe(self, tensor: str) -> str:
        """The node that makes the tensor."""
        node = self.graph.get_tensor_by_name(tensor).op
        return f'{node.type} "{node.name}"'


def plain_config(tf: Any) -> Any:
    """A session that runs the graph as it is."""
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = -1
    return config


def sizes_of(shape: Any) -> list[int] | None:
    """A TensorShape as sizes, -1 where unknown; None for an unknown rank."""
    return None if shape.rank is None else [-1 if n is None else int(n) for n in shape.as_list()]
