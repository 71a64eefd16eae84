"""What each dialect of Caffe can express, from dialects/*.toml, and how to get there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Any

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats.caffe import DEFAULT_DIALECT, DIALECTS, dialects, registry
from mgn_convert.graph import Graph, GraphBuilder, Node, Value
from mgn_convert.passes.expansions import (
    arithmetic,
    conv,
    elementwise,
    matrix,
    norm,
    pool,
    select,
    shape,
)
from mgn_convert.passes.images_first import images_first
from mgn_convert.passes.legalize import Expansion, Target, legalize
from mgn_convert.passes.padding import fold_padding
from mgn_convert.passes.products import pool_before_product, share_products

_LIMITS = {
    "matmul": f"products of numbers are written out up to {matrix.LARGEST}",
    "permute": f"the batch stays first, and exchanging axes takes up to {shape.LARGEST_TURN} weights",
    "top_channels": f"rounds of comparisons choose up to {select.MOST_ROUNDS} channels",
}
"""What the expansions of an op want."""

_PRODUCTS = (share_products, pool_before_product)

EXPANSIONS: Mapping[str, tuple[Expansion, ...]] = {
    "add": (arithmetic.constant_to_scale, arithmetic.spread_operand),
    "avg_pool": (pool.avg_pool_by_ceil,),
    "clip": (elementwise.clip_by_maximum,),
    "conv_transpose": (conv.cells_by_conv, conv.dense_kernel),
    "div": (arithmetic.div_by_reciprocal,),
    "gelu": (elementwise.gelu_tanh, elementwise.gelu_erf),
    "instance_norm": (norm.instance_norm_by_mvn,),
    "matmul": (arithmetic.matmul_by_constant, matrix.matmul_in_rows),
    "max_pool": (pool.max_pool_by_ceil,),
    "max_unpool": (select.max_unpool_by_phases,),
    "maximum": (arithmetic.spread_operand,),
    "mul": (arithmetic.constant_to_scale, arithmetic.spread_operand),
    "mvn": (norm.mvn_per_channel, norm.mvn_by_variance),
    "pad": (shape.pad_by_conv,),
    "permute": (shape.permute_by_reshape, shape.permute_by_conv),
    "reduce": (shape.reduce_by_pool,),
    "scale": (norm.scale_by_power, norm.scale_in_two),
    "slice": (shape.whole_slice,),
    "sub": (arithmetic.constant_to_scale, arithmetic.spread_operand),
    "top_channels": (select.top_channels_by_rounds,),
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

    def remedy(node: Node, inputs: tuple[Value, ...]) -> str:
        others = [other for other in dialects() if other != name and _takes(other, node, inputs)]
        return f"--dialect {' or '.join(others)}" if others else ""

    passes = (
        partial(images_first, merged=False),
        fold_padding,
        *(() if "MatMul" in data["layers"] else _PRODUCTS),
    )
    return Target("caffe", name, lacks, EXPANSIONS, data, passes, remedy)


def _takes(dialect: str, node: Node, inputs: tuple[Value, ...]) -> bool:
    """Whether a network of this node alone can be written in the dialect."""
    b = GraphBuilder("probe")
    copies = {value.name: b.input(value.name, value.shape) for value in inputs}
    probe = b.graph([b.copy(node, [copies[value.name] for value in inputs])])
    try:
        legalize(probe, replace(target(dialect), remedy=lambda node, inputs: ""))
    except UnsupportedError:
        return False
    return True


def written_ops() -> dict[str, str]:
    """op -> the layers that it becomes, or "expanded" where the portable dialect has no layer of its own.

    An op that only other dialects can write says which.
    """
    registry.load_rules()
    found: dict[str, str] = {}
    for op in sorted({*registry.WRITE, *EXPANSIONS}):
        layers = registry.WRITE[op].layers if op in registry.WRITE else ()
        having = [name for name in dialects() if layers and {*layers} <= {*_load(name)["layers"]}]
        if DEFAULT_DIALECT in having:
            found[op] = ", ".join(layers)
        elif op in EXPANSIONS:
            found[op] = "expanded"
        elif having:
            found[op] = f"{', '.join(layers)} ({', '.join(having)})"
    return found


@cache
def _load(name: str) -> Mapping[str, Any]:
    with (DIALECTS / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def _reason(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    registry.load_rules()
    rule = registry.WRITE.get(node.op)
    limit = f"; {_LIMITS[node.op]}" if node.op in _LIMITS else ""
    if rule is None:
        return f"Caffe has no layer for it{limit}"
    missing = [layer for layer in rule.layers if layer not in dialect["layers"]]
    if missing:
        return f"{dialect['readers']} have no {missing[0]} layer in common{limit}"
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
