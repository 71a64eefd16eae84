"""The op set: one file per family, each op with its shape rule and its NumPy evaluation.

A new op needs one decorated function pair here and nothing else; files of this folder load by themselves.
"""

from __future__ import annotations

import importlib
import pkgutil

from mgn_convert.errors import GraphError
from mgn_convert.graph.ops.spec import OPS, OpSpec

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "spec":
        importlib.import_module(f"{__name__}.{_module.name}")


def op_spec(op: str) -> OpSpec:
    """The specification of `op`. Raises GraphError for a name outside the op set."""
    try:
        return OPS[op]
    except KeyError:
        raise GraphError(
            f"there is no op {op!r}", because=f"the op set is {', '.join(sorted(OPS))}"
        ) from None


__all__ = ["OPS", "OpSpec", "op_spec"]
