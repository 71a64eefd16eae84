"""One file per family of ATen ops; each rule turns one call into neutral nodes. Files load by themselves."""

from __future__ import annotations

import importlib
import pkgutil

from mgn_convert.formats.pytorch.rules.spec import (
    INDEX_RULES,
    RULES,
    Context,
    Indices,
    Rule,
    index_rule,
    rule,
)

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "spec":
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["INDEX_RULES", "RULES", "Context", "Indices", "Rule", "index_rule", "rule"]
