"""Small ONNX models, and what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from mgn_convert.formats import Source
from mgn_convert.formats.onnx.reader import read
from mgn_convert.graph import Graph

Weights = Mapping[str, np.ndarray]


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """node("Conv", "x w", "y", group=2); "-" is an operand that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"{op} to {outputs}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    weights: Weights | None = None,
    *,
    batch: int | str = "N",
    opset: int = 17,
    outputs: str = "y",
) -> onnx.ModelProto:
    """A model of `nodes` from "x" (batch, *shape) to `outputs`."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def in_onnxruntime(path: Path, images: np.ndarray) -> list[np.ndarray]:
    """All outputs for `images`, computed without rewriting the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.astype(np.float32)})


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    """max |got - wanted| over max(1, max |wanted|); infinite for another shape or for NaN."""
    if got.shape != wanted.shape or not np.all(np.isfinite(got)):
        return np.inf
    return float(np.abs(got - wanted).max(initial=0) / max(1, np.abs(wanted).max(initial=0)))


def assert_read(proto: onnx.ModelProto, folder: Path, *, low: float = -2.0, high: float = 2.0) -> Graph:
    """The graph of the model gives in float64 what onnxruntime gives, for one image and for three.

    The bar is twice the error of the same arithmetic in float32, plus 1e-6 for another order of sums.
    """
    path = folder / "net.onnx"
    onnx.save(proto, path)
    graph = read(Source(path))
    fixed = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    random = np.random.default_rng(7)
    image = graph.inputs[0]
    assert image.shape[0] == 1
    for batch in (fixed,) if fixed else (1, 3):
        feeds = {image.name: random.uniform(low, high, (batch, *image.shape[1:])).astype(np.float32)}
        wanted, single = graph.run(feeds), graph.run(feeds, dtype="float32")
        found = in_onnxruntime(path, feeds[image.name])
        assert list(wanted) == [each.name for each in proto.graph.output]
        for (name, expected), actual in zip(wanted.items(), found, strict=True):
            bar = 2 * relative_error(single[name], expected) + 1e-6
            assert relative_error(actual, expected) <= bar, f"{name}, batch {batch}"
    return graph
