"""Products of matrices in the order that takes the fewest multiplications.

For targets without a matrix product, where every product of two numbers is a number in memory: the channel
attention of MuDeep then takes a tenth. Products are associative and linear, so only roundings change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mgn_convert.graph import Array, Graph, GraphBuilder, Node, Value, rewrite
from mgn_convert.passes.expansions import result, step


@dataclass(frozen=True)
class _Rows:
    """A matrix (N, M, P) that is W x: a 1x1 convolution of the map `source` (N, C, H, W), places in a row."""

    source: str
    weight: Array


def share_products(graph: Graph) -> Graph:
    """(V x) (W x)^T = V (x x^T) W^T, for constants V and W, where x has the fewer rows.

    The products x x^T are made once for all that read the same x; V and W become a 1x1 convolution and a
    linear layer.
    """
    found = {node.name: pair for node in graph.nodes if (pair := _of_one_source(graph, node)) is not None}
    seen: dict[str, Value] = {}
    squares: dict[str, Value] = {}

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        seen.update(zip(node.inputs, inputs, strict=True))
        pair = found.get(node.name)
        if pair is None:
            return None
        left, right = pair
        x = seen[left.source]
        if left.source not in squares:
            flat = step(builder, node, "reshape", x, suffix="source", shape=(0, x.shape[1], -1))
            turned = step(builder, node, "permute", flat, suffix="source.turned", order=(0, 2, 1))
            square = step(builder, node, "matmul", flat, turned, suffix="square")
            squares[left.source] = step(
                builder, node, "reshape", square, suffix="square.map", shape=(0, 0, 0, 1)
            )
        half = step(builder, node, "conv", squares[left.source], suffix="left", weight=left.weight)
        rows = step(builder, node, "reshape", half, suffix="left.rows", shape=(0, 0, -1))
        return result(builder, node, "linear", rows, weight=right.weight[:, :, 0, 0])

    return rewrite(graph, rule).pruned() if found else graph


def _of_one_source(graph: Graph, node: Node) -> tuple[_Rows, _Rows] | None:
    if node.op != "matmul" or len(node.shape) != 3 or any(name not in graph for name in node.inputs):
        return None
    turned = graph.node(node.inputs[1])
    if turned.op != "permute" or tuple(turned.attrs["order"]) != (0, 2, 1):
        return None
    left, right = _rows(graph, node.inputs[0]), _rows(graph, turned.inputs[0])
    if left is None or right is None or left.source != right.source:
        return None
    (m, c), p = left.weight.shape[:2], right.weight.shape[0]
    return (left, right) if c * c < m * p else None


def _rows(graph: Graph, name: str) -> _Rows | None:
    if name not in graph:
        return None
    flat = graph.node(name)
    if flat.op != "reshape" or flat.inputs[0] not in graph:
        return None
    conv = graph.node(flat.inputs[0])
    shape = conv.shape
    if conv.op != "conv" or flat.shape != (*shape[:2], math.prod(shape[2:])) or "bias" in conv.params:
        return None
    weight, attrs = conv.params["weight"], conv.attrs
    plain = tuple(attrs["stride"]) == (1, 1) and tuple(attrs["padding"]) == (0, 0) and attrs["groups"] == 1
    return _Rows(conv.inputs[0], weight) if plain and weight.shape[2:] == (1, 1) else None


def pool_before_product(graph: Graph) -> Graph:
    """mean over places of (c A X + b) = c A (mean of X) + mean of b, where only such means are read.

    X (N, K, H * W) is a map; the means, over windows without padding or over all, commute with A (M, K).
    """
    chains: dict[str, list[Node]] = {}
    for node in graph.nodes:
        found = _until_pools(graph, node)
        if found is not None:
            chains.update({pool.name: found[0] for pool in found[1]})
    seen: dict[str, Value] = {}

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        seen.update(zip(node.inputs, inputs, strict=True))
        if node.name not in chains:
            return None
        product, flat, *others = chains[node.name]
        a, x = (seen[name] for name in product.inputs)
        size = flat.shape[2:]
        x = step(builder, node, "reshape", x, suffix="map", shape=(0, x.shape[1], *size))
        x = step(builder, node, node.op, x, suffix="pooled", **node.attrs)
        x = step(builder, node, "reshape", x, suffix="columns", shape=(0, x.shape[1], -1))
        y = step(builder, node, "matmul", a, x, suffix="product")
        if not others:
            return result(builder, node, "reshape", y, shape=(0, *node.shape[1:]))
        y = step(builder, node, "reshape", y, suffix="product.map", shape=(0, *node.shape[1:]))
        last = flat.name
        for i, link in enumerate(others):
            y = _linked(builder, node, link, last, y, seen, final=i + 1 == len(others))
            last = link.name
        return y

    return rewrite(graph, rule).pruned() if chains else graph


def _linked(
    builder: GraphBuilder, pool: Node, link: Node, last: str, y: Value, seen: dict[str, Value], *, final: bool
) -> Value:
    """A link of the chain over pooled values: what it adds is pooled too."""
    operands = []
    for name in link.inputs:
        value = seen[name]
        if name == last:
            operands.append(y)
        elif link.op == "mul":
            operands.append(value)
        else:
            operands.append(step(builder, pool, pool.op, value, suffix="other", **pool.attrs))
    fields = {**link.attrs, **link.params}
    if final:
        return result(builder, pool, link.op, *operands, **fields)
    return step(builder, pool, link.op, *operands, suffix=link.op, **fields)


def _until_pools(graph: Graph, node: Node) -> tuple[list[Node], list[Node]] | None:
    """The nodes from a product on to a value that nothing but poolings read, and those poolings."""
    chain = [node]
    if node.op != "matmul" or len(node.shape) != 3:
        return None
    while True:
        last = chain[-1]
        readers = graph.consumers(last.name)
        if last.name in graph.outputs or not readers:
            return None
        if len(chain) > 1 and all(_is_mean(reader) for reader in readers):
            break
        if len(readers) > 1 or not _commutes(graph, readers[0], last, first=len(chain) == 1):
            return None
        chain.append(readers[0])
    cells = sum(math.prod(pool.shape[2:]) for pool in readers)
    return (chain, list(readers)) if cells < node.shape[2] else None


def _is_mean(node: Node) -> bool:
    if node.op == "avg_pool":
        return not any(node.attrs["padding"]) and not any(node.attrs["overhang"])
    if node.op != "reduce" or node.attrs["kind"] not in ("mean", "sum"):
        return False
    rank = len(node.shape) if node.attrs["keepdims"] else len(node.shape) + len(node.attrs["axes"])
    return rank == 4 and sorted(axis % 4 for axis in node.attrs["axes"]) == [2, 3]


def _commutes(graph: Graph, node: Node, last: Node, *, first: bool) -> bool:
    """Whether pooling may come before `node`, which reads `last`. The first one makes rows a map."""
    if first:
        return node.op == "reshape" and len(node.shape) == 4 and node.shape[:2] == last.shape[:2]
    if node.op in ("add", "sub"):
        return all(graph.value(name).shape == node.shape for name in node.inputs)
    if node.op == "power":
        return node.attrs["power"] == 1 and node.attrs["shift"] == 0
    if node.op == "scale":
        return "bias" not in node.params and node.params["weight"].ndim == 0
    if node.op == "mul":
        other = [name for name in node.inputs if name != last.name]
        number = graph.node(other[0]) if len(other) == 1 and other[0] in graph else node
        return number.op == "constant" and number.shape in ((), (1,))
    return False
