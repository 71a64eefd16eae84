"""Legalized graph -> frozen GraphDef or SavedModel, by the rules of rules/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats import Written
from mgn_convert.formats.tensorflow import graphdef, processing, registry
from mgn_convert.formats.tensorflow.environment import require_tensorflow
from mgn_convert.formats.tensorflow.layout import ANY, stored
from mgn_convert.formats.tensorflow.network import NetWriter, legal
from mgn_convert.graph import Graph
from mgn_convert.packaging import Names, Packaging
from mgn_convert.passes.legalize import Target

RESULT = "result_embedding"
"""What the result of the postprocessing is called, where no other name is given."""


@dataclass(frozen=True)
class Assembled:
    """The nodes of a file and its ends: inputs and outputs by node name, and places by tensor name."""

    items: Sequence[Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    written: Written


def write(graph: Graph, folder: Path, stem: str, target: Target) -> Written:
    """Write STEM.pb, or STEM/1/saved_model.pb with its variables, into `folder`.

    The graph is legal for `target`. Raises UnsupportedError when the weights exceed what one frozen graph
    holds, MissingEngineError when a SavedModel is wanted and TensorFlow is not installed.
    """
    saved_model = target.dialect["format"] == "saved-model"
    if saved_model:
        require_tensorflow("writing a SavedModel")
    made = assemble(graph, target.packaging)
    if saved_model:
        from mgn_convert.formats.tensorflow import saved_model as variables

        files = variables.write(made, folder, stem, target.packaging)
    else:
        files = (folder / f"{stem}.pb",)
        with files[0].open("wb") as file:
            graphdef.write_graphdef(file, made.items)
    return replace(made.written, files=files)


def assemble(graph: Graph, packaging: Packaging) -> Assembled:
    """All nodes of a file for `graph`, what stands around it included."""
    registry.load_rules()
    graph, inside = graph.pruned(), packaging.processing
    names = _checked(packaging.names, graph)
    starts = [_start(names, value.name, len(graph.inputs)) for value in graph.inputs]
    mirrored = inside is not None and inside.mirrored
    result = (names.result or RESULT) if mirrored else ""
    embedding = "" if names.output == result else names.output
    ends = [name for name in (embedding, result) if name]
    reserved = [*starts, *ends, *(processing.RESERVED if inside else ())]
    if len({name.lower() for name in reserved}) != len(reserved):
        raise UsageError("the ends of a file have different names", got=", ".join([*starts, *ends]))
    net = NetWriter(graph, reserved)
    if mirrored and net.sizes(graph.inputs[0].name)[0] != ANY:
        raise UnsupportedError(
            "the postprocessing needs a network for any batch", because="mirror images double the batch"
        )
    for value, name in zip(graph.inputs, starts, strict=True):
        raw = inside is not None and inside.preprocessing is not None
        tensor = net.placeholder(name, (ANY, ANY, ANY, 3) if raw else stored(net.sizes(value.name)))
        net.bind(value.name, tensor if inside is None else processing.before(net, tensor, inside))
    for node in graph.nodes:
        registry.WRITE[node.op].write(net, node)
    if embedding:
        tensor = net.add("Identity", embedding, net.tensor(graph.outputs[0]), exact=True)
        net.bind(graph.outputs[0], tensor)
    outputs = tuple(net.tensor(name) for name in graph.outputs)
    if mirrored:
        outputs = (processing.after(net, graph.outputs[0], result),)
    return Assembled(net.items, tuple(starts), outputs, _written(net, outputs if mirrored else ()))


def _start(names: Names, own: str, count: int) -> str:
    """What the Placeholder of an input is called."""
    if names.input and count == 1:
        return names.input
    return legal(own).lstrip("_-/") or "input"


def _checked(names: Names, graph: Graph) -> Names:
    for name in (names.input, names.output, names.result):
        if name != legal(name).lstrip("_-/"):
            raise UsageError(
                f"TensorFlow has no node called {name!r}",
                because="a name has letters, digits and _ . / -, and begins with a letter, a digit or a dot",
            )
    return replace(names, output="", result="") if len(graph.outputs) > 1 else names


def _written(net: NetWriter, result: Sequence[str]) -> Written:
    """Where each tensor of the first graph is. Values that only legalization made have no tensor name."""
    graph = net.graph
    listed = {node.name for node in graph.nodes if node.origin.tensor} | set(graph.outputs)
    places = tuple(
        (node.name, _place(net.tensor(node.name)), (node.name,))
        for node in graph.nodes
        if node.name in listed
    )
    start = _place(net.tensor(graph.inputs[0].name)) if len(graph.inputs) == 1 else {}
    return Written((), places, graph.outputs, start, _place(result[0]) if result else {})


def _place(tensor: str) -> Mapping[str, Any]:
    return {"value": tensor if ":" in tensor else f"{tensor}:0"}
