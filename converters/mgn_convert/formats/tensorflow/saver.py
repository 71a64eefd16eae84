"""What runs beside TensorFlow to write a SavedModel: variables, functions over them, signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mgn_convert.child import serve


def main() -> None:
    """Answers one request: see `saved_model.write`."""

    def start() -> Callable[[Any], Any]:
        import tensorflow as tf

        return lambda request: save(tf, request)

    serve(start)


def save(tf: Any, request: dict[str, Any]) -> None:
    """Write the SavedModel. Its attribute `network` is a function of the file's own inputs and outputs, by
    whose graph its tensors can be found again.
    """
    saver = Saver(tf, request)
    signatures = {each["name"]: saver.signature(each) for each in request["signatures"]}
    tf.saved_model.save(saver.module, request["folder"], signatures)


class Saver:
    """The graph of a request, its weights in variables."""

    def __init__(self, tf: Any, request: dict[str, Any]) -> None:
        self.tf, self.request = tf, request
        self.graph = tf.compat.v1.GraphDef.FromString(request["graph"])
        weights = {name for name, _, _ in request["weights"]}
        ends = set(request["inputs"])
        self.sizes = {n.name: n.attr["shape"].shape for n in self.graph.node if n.name in ends}
        kept = [node for node in self.graph.node if node.name not in weights | ends]
        del self.graph.node[:]
        self.graph.node.extend(kept)
        self.module = tf.Module()
        self.module.weights = self._variables()
        specs = [tf.TensorSpec(tf.TensorShape(self.sizes[n]), tf.float32, name=n) for n in request["inputs"]]
        self.module.network = tf.function(self._network, input_signature=specs)
        self.module.network.get_concrete_function()

    def _variables(self) -> dict[str, Any]:
        import numpy as np

        tf = self.tf
        found: dict[str, Any] = {}
        if not self.request["weights"]:
            return found
        values = np.memmap(self.request["values"], np.float32, "r")
        for name, shape, offset in self.request["weights"]:
            start = offset // 4
            array = values[start : start + int(np.prod(shape))].reshape(shape)
            found[name] = tf.Variable(array, trainable=False, name=name)
        return found

    def _run(self, graph: Any, feeds: dict[str, Any], outputs: list[str]) -> list[Any]:
        """Tensors of a graph, computed here and now."""
        tf, present = self.tf, {node.name for node in graph.node}
        read = {name.split(":")[0] for node in graph.node for name in node.input}
        missing = {f"{name}:0": v.read_value() for name, v in self.module.weights.items() if name in read}
        fed = {name: value for name, value in feeds.items() if name.split(":")[0] in present | read}
        return list(tf.import_graph_def(graph, {**missing, **fed}, outputs, name=""))

    def _network(self, *images: Any) -> tuple[Any, ...]:
        outputs = [f"{name}:0" if ":" not in name else name for name in self.request["outputs"]]
        feeds = {f"{name}:0": image for name, image in zip(self.request["inputs"], images, strict=True)}
        return tuple(self._run(self.graph, feeds, outputs))

    def signature(self, wanted: dict[str, Any]) -> Any:
        """A function for one signature."""
        tf = self.tf
        types = {"float32": tf.float32, "uint8": tf.uint8, "encoded": tf.string}
        shapes = [tf.TensorShape(self.sizes[name]) for name in self.request["inputs"]]
        if wanted["kind"] == "encoded":
            shapes = [tf.TensorShape([None])]
        specs = [
            tf.TensorSpec(shape, types[wanted["kind"]], name=name)
            for shape, name in zip(shapes, wanted["inputs"], strict=True)
        ]

        def serve_images(*images: Any) -> dict[str, Any]:
            if wanted["kind"] == "encoded":
                found = self._from_encoded(images[0], wanted["resized"])
            else:
                found = self.module.network(*(tf.cast(image, tf.float32) for image in images))
            return dict(zip(wanted["outputs"], found, strict=True))

        return tf.function(serve_images, input_signature=specs)

    def _from_encoded(self, pictures: Any, resized: str) -> list[Any]:
        """Pictures differ in size, so each is decoded and resized for itself."""
        tf, (start,) = self.tf, self.request["inputs"]
        (first, rest), outputs = self._parts(resized), self.request["outputs"]

        def one(content: Any) -> Any:
            pixels = tf.cond(
                tf.io.is_jpeg(content),
                lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
                lambda: tf.io.decode_png(content, channels=3),
            )
            return self._run(first, {f"{start}:0": tf.cast(pixels, tf.float32)[None]}, [resized])[0][0]

        pixels = tf.map_fn(one, pictures, fn_output_signature=tf.float32)
        return self._run(rest, {resized: pixels}, [f"{name}:0" for name in outputs])

    def _parts(self, tensor: str) -> tuple[Any, Any]:
        """The nodes up to the one that makes `tensor`, and the others."""
        tf, name = self.tf, tensor.split(":")[0]
        first, rest = tf.compat.v1.GraphDef(), tf.compat.v1.GraphDef()
        until = [node.name for node in self.graph.node].index(name) + 1
        first.node.extend(self.graph.node[:until])
        rest.node.extend(self.graph.node[until:])
        for part in (first, rest):
            part.versions.CopyFrom(self.graph.versions)
        return first, rest
