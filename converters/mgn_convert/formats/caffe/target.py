"""What each dialect of Caffe can express, from dialects/*.toml, and how to get there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from mgn_convert.errors import UsageError
from mgn_convert.formats.caffe import DEFAULT_DIALECT, DIALECTS, dialects, registry
from mgn_convert.graph import Graph, Node
from mgn_convert.passes.expansions import arithmetic, conv, elementwise, norm, pool, shape
from mgn_convert.passes.legalize import Expansion, Target

EXPANSIONS: Mapping[str, tuple[Expansion, ...]] = {
    "add": (arithmetic.constant_to_scale, arithmetic.spread_operand),
    "avg_pool": (pool.avg_pool_by_ceil,),
    "clip": (elementwise.clip_by_maximum,),
    "conv_transpose": (conv.dense_kernel,),
    "div": (arithmetic.div_by_reciprocal,),
    "gelu": (elementwise.gelu_tanh, elementwise.gelu_erf),
    "instance_norm": (norm.instance_norm_by_mvn,),
    "matmul": (arithmetic.matmul_by_constant,),
    "max_pool": (pool.max_pool_by_ceil,),
    "maximum": (arithmetic.spread_operand,),
    "mul": (arithmetic.constant_to_scale, arithmetic.spread_operand),
    "mvn": (norm.mvn_per_channel, norm.mvn_by_variance),
    "pad": (shape.pad_by_conv,),
    "permute": (shape.permute_by_reshape,),
    "reduce": (shape.reduce_by_pool,),
    "scale": (norm.scale_by_power, norm.scale_in_two),
    "slice": (shape.whole_slice,),
    "sub": (arithmetic.constant_to_scale, arithmetic.spread_operand),
}


def target(dialect: str | None = None) -> Target:
    """The dialect called `dialect`, or portable. Raises UsageError for another name."""
    name = dialect or DEFAULT_DIALECT
    if name not in dialects():
        raise UsageError(
            f"caffe has no dialect {name!r}", remedy="--dialect with one of " + ", ".join(dialects())
        )
    data = _load(name)

    def lacks(graph: Graph, node: Node) -> str | None:
        return _reason(graph, node, data)

    return Target("caffe", name, lacks, EXPANSIONS, data)


@cache
def _load(name: str) -> Mapping[str, Any]:
    with (DIALECTS / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def _reason(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    registry.load_rules()
    rule = registry.WRITE.get(node.op)
    if rule is None:
        return "Caffe has no layer for it"
    missing = [layer for layer in rule.layers if layer not in dialect["layers"]]
    if missing:
        return f"{dialect['readers']} have no {missing[0]} layer in common"
    fixed = _constants(graph).intersection(node.inputs)
    if fixed and node.name not in _constants(graph) and "Parameter" not in dialect["layers"]:
        return f"{dialect['readers']} have no layer in common that makes a constant"
    return rule.fits(graph, node, dialect)


@lru_cache(maxsize=8)
def _constants(graph: Graph) -> frozenset[str]:
    """The values that depend on no input."""
    found: set[str] = set()
    for node in graph.nodes:
        if found.issuperset(node.inputs):
            found.add(node.name)
    return frozenset(found)
