"""In-place calls made functional, where this needs no re-tracing of the whole network."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from mgn_convert.formats.pytorch.rules import INDEX_RULES, RULES
from mgn_convert.formats.pytorch.simplify import COPIES, SPLITS


def make_functional(graph: fx.Graph) -> bool:
    """Replace each in-place call by its functional twin. False, and nothing done, where that is not enough.

    It is enough when no live view exists of any tensor that is overwritten, and when there is a rule for
    every call. PyTorch's own functionalisation covers the rest, and takes twice as long as the export.
    """
    twins: dict[fx.Node, Any] = {}
    place = {node: i for i, node in enumerate(graph.nodes)}
    roots: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        roots[node] = node
        if node.op != "call_function":
            if node.op == "get_attr":
                return False
            continue
        schema = getattr(node.target, "_schema", None)
        if schema is not None and schema.is_mutable:
            twin = _twin(node)
            if twin is None or not _owns_its_memory(node.args[0], node, roots, place):
                return False
            twins[node] = twin
        elif _is_view(node):
            roots[node] = roots[node.all_input_nodes[0]]
        if not _is_known(twins.get(node, node.target)):
            return False
    for node, twin in twins.items():
        overwritten: Any = node.args[0]
        overwritten.replace_all_uses_with(node, lambda user, start=place[node]: place[user] > start)
        node.target = twin
    return True


def _twin(node: fx.Node) -> Any:
    """aten.add.Tensor of aten.add_.Tensor; None for any other kind of writing."""
    name, _, overload = str(node.target).removeprefix("aten.").partition(".")
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    return getattr(packet, overload, None)


def _owns_its_memory(
    tensor: Any, writer: fx.Node, roots: dict[fx.Node, fx.Node], place: dict[fx.Node, int]
) -> bool:
    """Whether `tensor` is the result of a call, no view, and no view of it is used once it is overwritten."""
    if not isinstance(tensor, fx.Node) or tensor.op == "placeholder" or roots[tensor] is not tensor:
        return False
    views = [view for view, root in roots.items() if root is tensor and view is not tensor]
    return all(place[user] < place[writer] for view in views for user in view.users)


def _is_view(node: fx.Node) -> bool:
    if node.target is operator.getitem or str(node.target) in COPIES:
        return bool(node.all_input_nodes)
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(r.alias_info is not None for r in schema.returns)


def _is_known(target: Any) -> bool:
    name = str(target)
    return (
        name in RULES
        or name in INDEX_RULES
        or name in COPIES
        or name in SPLITS
        or target is operator.getitem
        or name in ("aten._assert_tensor_metadata.default", "aten.sym_size.int")
    )
