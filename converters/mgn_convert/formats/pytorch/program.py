"""A PyTorch network as one flat, functional FX graph: exported, cleaned, and ready for any batch."""

from __future__ import annotations

import itertools
import logging
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats.pytorch.functional import make_functional
from mgn_convert.formats.pytorch.names import origins
from mgn_convert.formats.pytorch.simplify import simplify
from mgn_convert.graph.types import Shape

EXAMPLE_BATCH = 13
"""Networks are captured at this batch, so that an axis of this size is the batch and hardly anything else.

It costs nothing: shapes are traced without data.
"""


class CaptureError(UnsupportedError):
    """A network that PyTorch cannot trace, or that fails on the images it is traced with."""


@dataclass(frozen=True)
class Program:
    """The operations of a network.

    module: FX graph of ATen calls on its placeholders: weights, constants and one input.
    state: placeholder -> tensor.  keys: placeholder -> state_dict key.
    input: placeholder of the images.  batch: axis 0 of the shapes in the graph.
    outputs: path in what forward returns ("0", "features.global", "" if it is the tensor) -> FX node.
    """

    module: fx.GraphModule
    state: Mapping[str, Tensor]
    keys: Mapping[str, str]
    input: str
    batch: int
    outputs: Mapping[str, str]

    @property
    def input_shape(self) -> Shape:
        """(C, H, W)."""
        node = next(n for n in self.module.graph.nodes if n.name == self.input)
        return shape_of(node.meta["val"], self.batch)[1:]


def export(module: nn.Module, input_shape: Shape, batch: int = EXAMPLE_BATCH) -> ExportedProgram:
    """Trace `module` in evaluation mode on images (batch, *input_shape).

    Raises CaptureError, with the line of the network's code, when it cannot be traced.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedError(
            "a TorchScript network cannot be captured",
            because="torch.export needs the network's Python code",
            remedy="convert from the checkpoint and its --arch or --factory, or save with torch.export.save",
        )
    module.eval()
    weights = itertools.chain(module.parameters(), module.buffers())
    dtype = next((w.dtype for w in weights if w.is_floating_point()), torch.float32)
    images = torch.zeros((batch, *input_shape), dtype=dtype)
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(module, (images,), strict=False)
    except Exception as error:
        raise CaptureError(
            f"the network {type(module).__name__} cannot be captured",
            at=_user_frame(error),
            because=_first_line(error),
            got=f"input {'x'.join(map(str, ('N', *input_shape)))}",
            remedy=_remedy(error),
        ) from error


def prepare(exported: ExportedProgram, output: str | None) -> Program:
    """Functionalise, keep the outputs that `output` picks (all for None), and drop what they do not need."""
    _refuse_training(exported)
    if not make_functional(exported.graph_module.graph):
        with _quiet():
            exported = exported.run_decompositions({})
    _refuse_writing(exported)
    signature = exported.graph_signature
    graph = exported.graph_module.graph
    nodes = {node.name: node for node in graph.nodes}
    images = [s.arg.name for s in signature.input_specs if s.kind is InputKind.USER_INPUT]
    if len(images) != 1 or not isinstance(nodes[images[0]].meta.get("val"), Tensor):
        raise UnsupportedError(
            "a network takes one tensor of images", got=f"{len(images)} inputs: {', '.join(images)}"
        )
    dtype = nodes[images[0]].meta["val"].dtype
    if dtype not in (torch.float32, torch.float64):
        raise UnsupportedError(
            "a network takes images in float32",
            got=str(dtype).removeprefix("torch."),
            remedy="export the network after .float()",
        )
    batch = _concrete_batch(nodes[images[0]].meta["val"])
    kept = _pick(_outputs(exported), output)
    graph.output_node().args = (tuple(kept.values()),)
    simplify(exported.graph_module, images[0], batch)
    keys, state = {}, {}
    held = {**exported.state_dict, **exported.constants}
    for spec in signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            continue
        name = spec.arg.name
        if nodes[name].users and spec.target is not None:
            state[name], keys[name] = held[spec.target], spec.target
        elif not nodes[name].users:
            graph.erase_node(nodes[name])
    exported.graph_module.recompile()
    results: Any = graph.output_node().args[0]
    outputs = {path: node.name for path, node in zip(kept, results, strict=True)}
    return Program(exported.graph_module, state, keys, images[0], batch, outputs)


def resolved(node: fx.Node, values: Mapping[str, Any]) -> tuple[Any, Any]:
    """The arguments of a call, with the values of the nodes among them."""
    pair: Any = fx.map_arg((node.args, node.kwargs), lambda n: values[n.name])
    return pair


def call(node: fx.Node, args: Any, kwargs: Any) -> Any:
    """What PyTorch computes for a call."""
    function: Any = node.target
    return function(*args, **kwargs)


def unwrapped(module: Any) -> nn.Module:
    """The network inside DataParallel."""
    while isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        module = module.module
    return module


def path_of(keys: Iterable[Any]) -> str:
    """Where in a nested result something is, from pytree's keys: "0", "features.global"."""
    held = ("idx", "key", "name")
    return ".".join(str(next(getattr(key, n) for n in held if hasattr(key, n))) for key in keys)


def shape_of(value: Any, batch: int) -> Shape:
    """The shape of a traced tensor, a symbolic batch made concrete."""
    return tuple(concrete(n, batch) for n in value.shape)


def concrete(size: Any, batch: int) -> int:
    """A dimension as an integer, where the only unknown is the batch."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, batch)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's warnings about itself, and what it prints about an error that is raised anyway."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.disable(level)


def _concrete_batch(images: Tensor) -> int:
    return images.shape[0] if isinstance(images.shape[0], int) else EXAMPLE_BATCH


def _refuse_training(exported: ExportedProgram) -> None:
    for node in exported.graph.nodes:
        name = str(node.target)
        training = name == "aten.batch_norm.default" and node.args[5]
        if training or name == "aten._native_batch_norm_legit_functional.default":
            raise UnsupportedError(
                "a batch norm runs in training mode",
                at=str(origins([node])[node]),
                because="it normalises by the statistics of the batch, the other images among them",
                remedy=".eval() before torch.export, training=False, track_running_stats=True",
            )


def _refuse_writing(exported: ExportedProgram) -> None:
    for spec in exported.graph_signature.output_specs:
        if spec.kind not in (OutputKind.USER_OUTPUT, OutputKind.USER_INPUT_MUTATION):
            raise UnsupportedError(
                "the network writes to its own state in forward",
                at=str(spec.target),
                because="a converted network has no memory between images",
            )


def _outputs(exported: ExportedProgram) -> dict[str, fx.Node]:
    """Where in what forward returns -> the node of the tensor there."""
    results: Any = exported.graph.output_node().args[0]
    specs = exported.graph_signature.output_specs
    own = [r for r, spec in zip(results, specs, strict=True) if spec.kind is OutputKind.USER_OUTPUT]
    tree = pytree.tree_unflatten(own, exported.call_spec.out_spec)
    found = pytree.tree_flatten_with_path(tree)[0]
    return {path_of(keys): node for keys, node in found if isinstance(node, fx.Node)}


def _pick(paths: Mapping[str, fx.Node], output: str | None) -> dict[str, fx.Node]:
    """The outputs at or below the path `output`. Raises UsageError that lists the paths."""
    if output is None:
        return dict(paths)
    kept = {p: n for p, n in paths.items() if p == output or p.startswith(output + ".")}
    if not kept and set(paths) == {""} and output == "0":
        return dict(paths)
    if not kept:
        raise UsageError(
            f"the network has no output {output!r}",
            got=", ".join(repr(p) for p in paths) if set(paths) != {""} else "a single tensor",
            remedy="--output with one of these" if set(paths) != {""} else "no --output",
        )
    return kept


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _remedy(error: BaseException) -> str:
    if "DataDependent" in type(error).__name__ or "data-dependent" in str(error):
        return "a forward whose path does not depend on the pixels: torch.where, or two networks"
    return "the --input-shape that the network takes, or a change to the line above"


def _user_frame(error: BaseException) -> str:
    """file:line of the innermost code that is neither torch's, Python's nor ours."""
    found, trace = "", error.__traceback__
    foreign = (str(Path(torch.__file__).parent), str(Path(__file__).parents[2]), "<")
    standard = sysconfig.get_path("stdlib")
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        is_standard = file.startswith(standard) and "site-packages" not in file
        if not file.startswith(foreign) and not is_standard:
            found = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
