"""What TensorFlow can express, and how to get there."""

from __future__ import annotations

from collections.abc import Mapping

from mgn_convert.errors import UsageError
from mgn_convert.formats.tensorflow import dialects, registry
from mgn_convert.graph import Graph, Node
from mgn_convert.passes.expansions import conv, elementwise, select
from mgn_convert.passes.legalize import Expansion, Target
from mgn_convert.passes.padding import fold_padding

EXPANSIONS: Mapping[str, tuple[Expansion, ...]] = {
    "conv_transpose": (conv.dense_kernel,),
    "gelu": (elementwise.gelu_tanh,),
    "max_unpool": (select.max_unpool_by_phases,),
}


def target(dialect: str | None = None) -> Target:
    """A frozen graph or a SavedModel, which take the same ops. Raises UsageError for another name."""
    name = dialect or dialects()[0]
    if name not in dialects():
        raise UsageError(
            f"tensorflow has no format {name!r}", remedy="--format with one of " + ", ".join(dialects())
        )
    return Target("tensorflow", name, _lacks, EXPANSIONS, {"format": name}, (fold_padding,))


def _lacks(graph: Graph, node: Node) -> str | None:
    registry.load_rules()
    rule = registry.WRITE.get(node.op)
    return "TensorFlow has no op for it" if rule is None else rule.fits(graph, node)


def written_ops() -> dict[str, str]:
    """op -> the TensorFlow ops that it becomes, or "expanded" where other ops of the graph stand for it."""
    registry.load_rules()
    found = dict.fromkeys(EXPANSIONS, "expanded")
    found |= {op: ", ".join(rule.kinds) for op, rule in registry.WRITE.items()}
    return dict(sorted(found.items()))
