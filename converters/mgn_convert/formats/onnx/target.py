"""What ONNX can express: every neutral op, at the operator set that we write."""

from __future__ import annotations

from mgn_convert.errors import UsageError
from mgn_convert.formats.onnx.writing.spec import rules
from mgn_convert.graph import Graph, Node
from mgn_convert.passes.legalize import Target

OPSET = 18
"""IR version 8 belongs to it."""

IR_VERSION = 8

METADATA = "mgn-convert.processing"
"""Key of the model's metadata that says what is inside beside the network, as JSON."""


def target(dialect: str | None = None) -> Target:
    """ONNX at OPSET. Raises UsageError for a dialect, since there is none."""
    if dialect is not None:
        raise UsageError(f"onnx has no dialect {dialect!r}", remedy="onnx without --dialect")
    return Target("onnx", f"opset {OPSET}", _lacks)


def written_ops() -> dict[str, str]:
    """op -> the ONNX operators that it becomes."""
    return {op: ", ".join(rule.operators) for op, rule in sorted(rules().items())}


def _lacks(graph: Graph, node: Node) -> str | None:
    return None if node.op in rules() else "there is no rule that writes it"
