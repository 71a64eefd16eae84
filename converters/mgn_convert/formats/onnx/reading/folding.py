"""Nodes whose operands are all constants: what they make is computed here, once and for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from mgn_convert.errors import FileFormatError, UnsupportedError
from mgn_convert.formats.onnx.model import DEFAULT_DOMAINS, Model, array_of, title
from mgn_convert.formats.onnx.reading.registry import Operand
from mgn_convert.graph import Array, Origin

_RANDOM = ("Random", "Bernoulli", "Multinomial")
_COPIES = {"Identity", "Dropout"}
_HALVES = {"float16", "bfloat16", "float64"}


def foldable(node: onnx.NodeProto, inputs: Sequence[Operand]) -> bool:
    """Whether what the node makes is the same for all images."""
    if node.domain not in DEFAULT_DOMAINS or node.op_type.startswith(_RANDOM):
        return False
    if any(a.HasField("g") or a.graphs for a in node.attribute):
        return False
    return all(x is None or isinstance(x, np.ndarray) for x in inputs)


def evaluate(
    node: onnx.NodeProto, inputs: Sequence[Operand], model: Model, origin: Origin
) -> tuple[Array, ...]:
    """The results of a node on constants, by the onnx package's own reference; floats as float32.

    What is repeated to a shape stays a view, since the shape may hold a thousand images.
    """
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]
    if node.op_type in _COPIES and arrays:
        return (arrays[0],)
    tensors = [a.t for a in node.attribute if a.name == "value" and a.HasField("t")]
    if node.op_type == "Constant" and tensors:
        return (array_of(tensors[0], model.path),)
    if node.op_type == "ConstantOfShape":
        fill = array_of(tensors[0], model.path).reshape(()) if tensors else np.zeros((), np.float32)
        return (np.broadcast_to(fill, [int(n) for n in arrays[0]]),)
    if node.op_type == "Expand":
        shape = np.broadcast_shapes(arrays[0].shape, tuple(int(n) for n in arrays[1]))
        return (np.broadcast_to(arrays[0], shape),)
    feeds = {name: x for name, x in zip(node.input, inputs, strict=True) if isinstance(x, np.ndarray)}
    try:
        with np.errstate(all="ignore"):
            found = _evaluator(node, feeds, model).run(None, feeds)
    except Exception as error:  # the reference raises whatever NumPy does
        raise UnsupportedError(
            f"the node {title(node)} cannot be read",
            at=str(origin),
            because="it computes a constant, and the reference of ONNX fails at it",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
        ) from error
    return tuple(_single(np.asarray(x)) for x in found)


def _evaluator(node: onnx.NodeProto, feeds: dict[str, Array], model: Model) -> ReferenceEvaluator:
    """For a network of this node alone."""
    kinds = {name: onnx.helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in feeds.items()}
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()],
        [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    opsets = [onnx.helper.make_opsetid("", model.opset)]
    return ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=opsets))


def _single(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.name in _HALVES else array


def check(node: onnx.NodeProto, model: Model, origin: Origin) -> None:
    """Raise FileFormatError unless the node has the operands and attributes of its op."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {"": model.opset}
    try:
        onnx.checker.check_node(node, context)
    except onnx.checker.ValidationError as error:
        raise FileFormatError(
            f"the node {title(node)} is not one of opset {model.opset}",
            at=str(origin),
            because=str(error).splitlines()[0],
            remedy="export the model once more",
        ) from None
