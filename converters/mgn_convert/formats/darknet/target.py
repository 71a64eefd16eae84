"""What Darknet can express, by dialect. A dialect is a file of dialects/."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from mgn_convert.errors import UsageError
from mgn_convert.formats.darknet import DEFAULT_DIALECT, DIALECTS, dialects
from mgn_convert.formats.darknet.registry import writers
from mgn_convert.graph import Graph, Node
from mgn_convert.passes.expansions import arithmetic, darknet, darknet_own, shape
from mgn_convert.passes.images_first import images_first
from mgn_convert.passes.legalize import Expansion, Target

STOCK: Mapping[str, tuple[Expansion, ...]] = {
    "abs": (darknet.abs_by_relu,),
    "add": (arithmetic.constant_to_scale,),
    "avg_pool": (darknet.avg_pool_by_conv,),
    "clip": (darknet.clip_by_relu,),
    "conv": (darknet.pointwise_by_pool, darknet.conv_in_square),
    "conv_transpose": (darknet.dense_transpose,),
    "div": (arithmetic.div_by_reciprocal,),
    "leaky_relu": (darknet.prelu_by_relu,),
    "matmul": (arithmetic.matmul_by_constant,),
    "mul": (arithmetic.constant_to_scale,),
    "pad": (darknet.pad_by_conv,),
    "permute": (shape.permute_by_reshape,),
    "power": (darknet.scale_by_numbers,),
    "prelu": (darknet.prelu_by_relu,),
    "reduce": (darknet.sum_by_mean,),
    "sub": (arithmetic.constant_to_scale,),
}
OWN: Mapping[str, tuple[Expansion, ...]] = {
    "add": (arithmetic.constant_to_scale, arithmetic.spread_operand),
    "avg_pool": (darknet_own.sum_over_divisor,),
    "conv_transpose": (darknet.dense_transpose,),
    "div": (arithmetic.div_by_reciprocal,),
    "linear": (darknet_own.linear_by_conv,),
    "matmul": (arithmetic.matmul_by_constant,),
    "maximum": (arithmetic.spread_operand,),
    "mul": (arithmetic.constant_to_scale, arithmetic.spread_operand),
    "mvn": (darknet_own.mvn_by_means,),
    "pad": (darknet.pad_by_conv, shape.pad_by_conv),
    "permute": (shape.permute_by_reshape, darknet_own.permute_by_moves),
    "sub": (arithmetic.constant_to_scale, arithmetic.spread_operand),
}


def target(name: str | None = None) -> Target:
    """The target of a dialect. Raises UsageError for an unknown name."""
    name = name or DEFAULT_DIALECT
    if name not in dialects():
        raise UsageError(f"Darknet has no dialect {name}", got=name, remedy="one of " + ", ".join(dialects()))
    options = _load(name)

    def lacks(graph: Graph, node: Node) -> str | None:
        return _lacks(graph, node, options)

    expansions = OWN if options["own_layers"] else STOCK
    return Target("darknet", name, lacks, expansions, options, (images_first,))


def written_ops() -> dict[str, str]:
    """Each op with the sections that it becomes in the default dialect, or "expanded" into other ops."""
    return dict.fromkeys(OWN, "expanded") | {
        op: ", ".join(rule.sections) for op, rule in writers().items() if rule.sections
    }


def _lacks(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    rule = writers().get(node.op)
    if node.op == "constant":
        return None  # its readers take it in, or are refused
    if any(name in graph and graph.node(name).op == "constant" for name in node.inputs):
        return "Darknet has no constants but weights"
    if rule is None or (rule.own and not dialect["own_layers"]):
        return "Darknet has no such layer"
    entry = graph.inputs[0]
    if any(value.name in node.inputs for value in graph.inputs[1:]) or len(entry.shape) != 4:
        return f"a Darknet network has one input (N, C, H, W), this one is {entry.name} {list(entry.shape)}"
    if node.name in graph.outputs and len(graph.outputs) > 1:
        count = len(graph.outputs)
        return f"a Darknet network has one output, its last layer; this is one of {count}; --output picks one"
    return rule.lacks(graph, node, dialect)


@cache
def _load(name: str) -> dict[str, Any]:
    return tomllib.loads((DIALECTS / f"{name}.toml").read_text(encoding="utf8"))
