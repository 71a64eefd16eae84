"""From what a command line names to a captured network: build, load the weights, capture."""

from __future__ import annotations

import importlib
import itertools
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from mgn_convert.architecture import Architecture, architecture, architectures
from mgn_convert.errors import FileFormatError, MgnConvertError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.pytorch import checkpoint
from mgn_convert.formats.pytorch.capture import Captured, capture
from mgn_convert.formats.pytorch.keys import KeyReport, compare, settle
from mgn_convert.formats.pytorch.lookalike import look_like
from mgn_convert.formats.pytorch.options import options_of
from mgn_convert.formats.pytorch.program import CaptureError, unwrapped
from mgn_convert.formats.pytorch.record import complete
from mgn_convert.graph import Shape
from mgn_convert.preprocess import Preprocessing

log = logging.getLogger("mgn_convert")


@dataclass(frozen=True)
class Loaded:
    """A network from a source.

    module: the network as Python code, None for a .pt2.
    keys: how the checkpoint's keys fitted, None where there is none.
    architecture, preprocessing: where the source names an architecture; sizes are those of this network.
    """

    captured: Captured
    module: nn.Module | None = None
    keys: KeyReport | None = None
    architecture: Architecture | None = None
    preprocessing: Preprocessing | None = None


_last: tuple[Any, Loaded] | None = None


def load(source: Source) -> Loaded:
    """Load and capture a source; the last one is kept, so that reading and running it do this once.

    A factory is asked again for every new Source object, as each call of `mgn_convert.convert` or `verify`
    makes one: it may by then give another network.

    Raises UsageError for a source that contradicts itself, FileFormatError for files that do not load or fit,
    UnsupportedError for what a network may not hold.
    """
    global _last  # noqa: PLW0603
    source = complete(source)
    stamp = [p.stat().st_mtime_ns for p in (source.path, source.weights) if p is not None and p.exists()]
    is_known = _last is not None and _last[0] == (source, stamp)
    if _last is None or not is_known or (source.factory is not None and _last[0][0] is not source):
        _last = None
        _last = ((source, stamp), _load(source))
    return _last[1]


def _load(source: Source) -> Loaded:
    if source.factory and source.architecture:
        raise UsageError("--arch and --factory both name a network", remedy="one of the two")
    if source.path is not None and source.path.suffix == ".pt2":
        return _load_exported(source, source.path)
    if source.path is None and not source.factory:
        raise UsageError("there is no model to read", remedy="a checkpoint, or --factory module:callable")
    file = source.path or source.weights
    weights = None if file is None else checkpoint.load(file, trust_pickle=source.trust_pickle)
    if isinstance(weights, nn.Module):
        if not (source.factory or source.architecture):
            return _capture(source, weights.float(), None, None, _input_shape(source, None))
        weights = {k: v.float() if v.is_floating_point() else v for k, v in weights.state_dict().items()}
    if source.factory:
        shape = _input_shape(source, None)
        module, report = _assemble(source, _factory(source), weights, {})
        return _capture(source, module, report, None, shape)
    if source.architecture is None:
        raise UsageError(
            f"{source} holds weights, but not the network",
            because=look_like(weights or {}),
            remedy=f"--arch with one of {', '.join(architectures())}, or --factory package.module:callable",
        )
    known = architecture(source.architecture)
    options = options_of(source, known, checkpoint.without_prefixes(weights or {})[-1])
    module, report = _assemble(source, lambda: known.build(**options), weights, known.ignored)
    return _capture(source, module, report, known, _input_shape(source, known))


def _capture(
    source: Source, module: nn.Module, report: KeyReport | None, known: Architecture | None, shape: Shape
) -> Loaded:
    output = source.output if source.output is not None or known is None else known.output
    name = known.name if known else source.path.stem if source.path else type(module).__name__
    try:
        captured = capture(module, shape, output=output, name=name)
    except CaptureError as error:
        if known is None or shape == known.input_shape:
            raise
        raise UsageError(
            f"{name} cannot take images of {'x'.join(map(str, shape))}",
            at=error.at,
            because=error.because,
            remedy=f"--input-shape {','.join(map(str, known.input_shape))}, the size it was made for",
        ) from error
    if not captured.any_batch:
        log.warning("%s takes one image at a time; so will what is made from it", source)
    if report is not None:
        report = settle(report, set(captured.program.keys.values()), known.ignored if known else {})
        report.check(str(source))
        log.info("%s", report)
    preprocessing = replace(known.preprocessing, height=shape[1], width=shape[2]) if known else None
    return Loaded(captured, module, report, known, preprocessing)


def _load_exported(source: Source, path: Path) -> Loaded:
    try:
        program: ExportedProgram = torch.export.load(path)
    except Exception as error:
        if not path.is_file():
            raise FileFormatError(f"{path} is not a file") from None
        raise FileFormatError(
            f"{path} is not a program that this PyTorch can load",
            because=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            got=f"torch {torch.__version__}",
            remedy="save it with torch.export.save of the same PyTorch version",
        ) from error
    captured = capture(program, output=source.output, name=path.stem)
    shape = captured.program.input_shape
    if source.input_shape not in (None, shape):
        raise UsageError(
            f"{path} was exported for another input",
            got=f"--input-shape {source.input_shape}, the program takes {shape}",
            remedy="no --input-shape",
        )
    return Loaded(captured)


def _input_shape(source: Source, known: Architecture | None) -> Shape:
    if source.input_shape is not None:
        return source.input_shape
    if known is None:
        raise UsageError(f"{source} does not tell which images it takes", remedy="--input-shape C,H,W")
    size = source.options.get("input_size")
    return known.input_shape if size is None else (known.input_shape[0], *map(int, size.split("x")))


def _factory(source: Source) -> Callable[[], Any]:
    """The callable that --factory names, found also in the working folder."""
    module_name, _, attribute = str(source.factory).partition(":")
    if not module_name or not attribute:
        raise UsageError(f"--factory is package.module:callable, not {source.factory!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise UsageError(
            f"--factory {source.factory} cannot be imported",
            because=f"{type(error).__name__}: {error}",
            remedy="run in the folder that holds the module, or put it on PYTHONPATH",
        ) from error
    if not callable(found):
        raise UsageError(f"--factory {source.factory} cannot be called", got=type(found).__name__)
    return found


def _assemble(
    source: Source, build: Callable[[], Any], weights: Mapping[str, Any] | None, ignored: Mapping[str, str]
) -> tuple[nn.Module, KeyReport | None]:
    """Build the network and give it the checkpoint's own tensors.

    It is built without memory first; if something in it is then still without data (a constant that is not in
    the state_dict), it is built again for real.
    """
    if weights is None:
        return _built(source, build, "cpu"), None
    for device in ("meta", "cpu"):
        try:
            module = _built(source, build, device)
        except UsageError:
            if device == "cpu":
                raise
            continue
        report = _fill(module, weights, ignored, source)
        if not any(t.is_meta for t in itertools.chain(module.parameters(), module.buffers())):
            break
    return module, report


def _built(source: Source, build: Callable[[], Any], device: str) -> nn.Module:
    try:
        with torch.device(device):
            module = build()
    except MgnConvertError:
        raise
    except Exception as error:
        what = source.factory or source.architecture
        raise UsageError(f"{what} cannot be built", because=f"{type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"{source.factory} makes no network", got=type(module).__name__)
    return unwrapped(module).float()


def _fill(
    module: nn.Module, weights: Mapping[str, Any], ignored: Mapping[str, str], source: Source
) -> KeyReport:
    """Give the module the tensors themselves. Raises FileFormatError when keys or shapes do not fit."""
    network = module.state_dict()
    tensors = max(checkpoint.without_prefixes(weights), key=lambda t: len(t.keys() & network.keys()))
    report = compare(tensors, network, ignored)
    if report.unexpected or report.misshaped:
        lacking = tuple(k for k in report.absent if not k.endswith("num_batches_tracked"))
        replace(report, missing=lacking).check(str(source), look_like(tensors, source.architecture))
    # A key that the checkpoint lacks may belong to a head that no output needs: nothing is stored for it.
    blanks = {k: torch.zeros((), dtype=network[k].dtype).expand(network[k].shape) for k in report.absent}
    module.load_state_dict({**{k: tensors[k] for k in report.used}, **blanks}, assign=True)
    return report
