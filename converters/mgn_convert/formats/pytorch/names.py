"""What to call the tensors of an FX graph, and where in the user's code they come from."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import fx

from mgn_convert.graph import Origin

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_LIBRARY = str(Path(torch.__file__).parent)


def origins(nodes: Iterable[fx.Node]) -> dict[fx.Node, Origin]:
    """The origin of each call: its tensor's name, module path and file:line.

    The last tensor of a module without inner modules is called as the module, "backone.4.0.conv1"; every
    other one by module and op, "backone.4.0.add". The `module.` of DataParallel is left out. Names may repeat
    where a module is called twice.
    """
    nodes = list(nodes)
    places = {node: _place(node) for node in nodes}
    if all(path in ("", "module") or path.startswith("module.") for _, path in places.values()):
        places = {n: (call, path.removeprefix("module").lstrip(".")) for n, (call, path) in places.items()}
    paths = {path for _, path in places.values()}
    parents = {path[:dot] for path in paths for dot in _dots(path)}
    last = {call: node for node, (call, _) in places.items()}
    found = {}
    for node, (call, path) in places.items():
        is_result = path and path not in parents and last[call] is node
        name = path if is_result else f"{path}.{_op(node)}".lstrip(".")
        found[node] = Origin(name, path, _source(node))
    return found


def _place(node: fx.Node) -> tuple[str, str]:
    """The innermost module call, as a key that differs between calls of a module, and the module's path."""
    stack = node.meta.get("nn_module_stack") or {"": ("", "")}
    call, entry = list(stack.items())[-1]
    path = entry[0] if isinstance(entry, tuple) else str(entry)
    return f"{call}:{path}", re.sub(r"@\d+$", "", path)


def _dots(path: str) -> list[int]:
    return [i for i, character in enumerate(path) if character == "."]


def _op(node: fx.Node) -> str:
    if node.target is operator.getitem and isinstance(node.args[0], fx.Node):
        return _op(node.args[0])
    return str(node.target).removeprefix("aten.").split(".")[0].strip("_")


def _source(node: fx.Node) -> str:
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    own = [f for f in frames if not f[0].startswith(_LIBRARY) and "/torch/nn/" not in f[0] and f[0][0] != "<"]
    return f"{Path(own[-1][0]).name}:{own[-1][1]}" if own else ""
