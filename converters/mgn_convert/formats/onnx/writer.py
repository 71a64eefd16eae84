"""Graph -> ONNX file, by the rules of writing/. Weights are streamed; past 2 GiB they go to a second file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper

from mgn_convert.formats import Written
from mgn_convert.formats.onnx import processing
from mgn_convert.formats.onnx.target import IR_VERSION, METADATA, OPSET
from mgn_convert.formats.onnx.writing.spec import ModelNodes, NodeWriter, Weight, rules
from mgn_convert.graph import Graph, Shape
from mgn_convert.packaging import Packaging
from mgn_convert.passes.legalize import Target
from mgn_convert.protobuf import wire

LARGEST = 2**31 - 1
"""Bytes that protobuf reads in one message."""

_ALIGNMENT = 4096
_SMALL = 1024  # bytes; shape inference wants to see shapes and axes
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # field numbers of ModelProto, GraphProto and TensorProto


def write(graph: Graph, folder: Path, stem: str, target: Target) -> Written:
    """Write STEM.onnx into `folder`, and STEM.onnx.data beside it if the file would pass 2^31 - 1 bytes.

    The batch is open. Values and nodes are called like the graph's; the ends as the packaging says.
    """
    graph = graph.pruned()
    model = ModelNodes()
    names, result = _emit(model, graph, target.packaging)
    proto = _model(graph, model, target.packaging, names, result)
    path = folder / f"{stem}.onnx"
    files = [path, *_stream(path, proto, model.weights)]
    named = {node.name for node in graph.nodes if node.origin.tensor} | set(graph.outputs)
    listed = [node for node in graph.nodes if node.name in named]
    inside = target.packaging.processing is not None
    return Written(
        tuple(files),
        tuple((node.name, {"value": names[node.name]}, (node.name,)) for node in listed),
        graph.outputs,
        {"value": names[graph.inputs[0].name]} if inside else {},
        {"value": result} if result != names[graph.outputs[0]] else {},
    )


def _emit(model: ModelNodes, graph: Graph, packaging: Packaging) -> tuple[dict[str, str], str]:
    """All nodes. Returns what each value of the graph is called, and the name of the (first) result."""
    inside = packaging.processing
    mirrored = inside is not None and inside.mirrored
    entries = {value.name: value.name for value in graph.inputs}
    if packaging.names.input:
        entries[graph.inputs[0].name] = packaging.names.input
    ends = {} if mirrored else {graph.outputs[0]: packaging.names.output}
    result = packaging.names.result or "result_embedding"
    for name in [*entries.values(), *filter(None, ends.values()), *([result] if mirrored else [])]:
        model.fresh(name)
    names = dict(entries)
    if inside is not None:
        entry = graph.inputs[0]
        names[entry.name] = processing.before(model, entries[entry.name], inside)
    for node in graph.nodes:
        names[node.name] = ends.get(node.name) or model.fresh(node.name)
    for node in graph.nodes:
        rules()[node.op].write(NodeWriter(model, graph, node, names))
    if not mirrored:
        return names, names[graph.outputs[0]]
    processing.after(model, names[graph.outputs[0]], graph.value(graph.outputs[0]).shape, result)
    return names, result


def _model(
    graph: Graph, model: ModelNodes, packaging: Packaging, names: Mapping[str, str], result: str
) -> ModelProto:
    """The whole model but for its weights."""
    inside = packaging.processing
    inputs = [_info(names[value.name], value.shape) for value in graph.inputs]
    outputs = [_info(names[name], graph.value(name).shape) for name in graph.outputs]
    if inside is not None:
        entry = packaging.names.input or graph.inputs[0].name
        channels, *size = graph.inputs[0].shape[1:]
        inputs = [_info(entry, (1, channels, *(["H", "W"] if inside.preprocessing else size)))]
    if inside is not None and inside.mirrored:
        outputs = [_info(result, (1, int(np.prod(graph.value(graph.outputs[0]).shape[1:]))))]
    proto: ModelProto = helper.make_model(
        helper.make_graph(model.nodes, graph.name, inputs, outputs),
        producer_name="mgn-convert",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    if inside is not None:
        helper.set_model_props(proto, {METADATA: json.dumps(inside.to_json())})
    return proto


def _info(name: str, shape: tuple[Any, ...] | Shape) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape[1:]])


def _stream(path: Path, proto: ModelProto, weights: Mapping[str, Weight]) -> Iterator[Path]:
    """Write the model and its weights array by array; yields the second file, if there is one.

    A field of a message may follow any other, so the weights come last.
    """
    nodes = proto.graph.SerializeToString(deterministic=True)
    proto.graph.CopyFrom(GraphProto())
    proto.ClearField("graph")
    head = proto.SerializeToString(deterministic=True)
    heads = {name: _head(name, weight) for name, weight in weights.items()}
    sizes = {name: len(heads[name]) + wire.framed(_RAW_DATA, weight.size) for name, weight in weights.items()}
    total = len(nodes) + sum(wire.framed(_INITIALIZER, size) for size in sizes.values())
    if len(head) + wire.framed(_GRAPH, total) > LARGEST:
        yield _stream_beside(path, head, nodes, weights)
        return
    with path.open("wb") as file:
        file.write(head + wire.prefix(_GRAPH, total) + nodes)
        for name, weight in weights.items():
            file.write(wire.prefix(_INITIALIZER, sizes[name]) + heads[name])
            file.write(wire.prefix(_RAW_DATA, weight.size))
            _write_array(file, weight)


def _stream_beside(path: Path, head: bytes, nodes: bytes, weights: Mapping[str, Weight]) -> Path:
    """Write the model to `path`, and its weights, but for small ones, to the file beside it."""
    data = path.with_name(f"{path.name}.data")
    initializers = []
    with data.open("wb") as file:
        for name, weight in weights.items():
            tensor = TensorProto.FromString(_head(name, weight))
            if weight.size < _SMALL:
                tensor.raw_data = np.ascontiguousarray(weight.array, weight.dtype).tobytes()
            else:
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                tensor.data_location = TensorProto.EXTERNAL
                place = {"location": data.name, "offset": str(file.tell()), "length": str(weight.size)}
                for key, value in place.items():
                    tensor.external_data.add(key=key, value=value)
                _write_array(file, weight)
            serialised = tensor.SerializeToString(deterministic=True)
            initializers.append(wire.prefix(_INITIALIZER, len(serialised)) + serialised)
    graph = nodes + b"".join(initializers)
    path.write_bytes(head + wire.prefix(_GRAPH, len(graph)) + graph)
    return data


def _head(name: str, weight: Weight) -> bytes:
    """A TensorProto but for its data."""
    kind = helper.np_dtype_to_tensor_dtype(weight.dtype.newbyteorder("="))
    proto = TensorProto(dims=weight.array.shape, data_type=kind, name=name)
    head: bytes = proto.SerializeToString(deterministic=True)
    return head


def _write_array(file: IO[bytes], weight: Weight) -> None:
    if weight.size:
        file.write(np.ascontiguousarray(weight.array, weight.dtype).reshape(-1).view(np.uint8).data)
