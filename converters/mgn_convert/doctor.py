"""Which engines and tools this machine has."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import metadata, util

from mgn_convert.errors import MgnConvertError


@dataclass(frozen=True)
class Finding:
    """One engine or tool. detail: its version or place, or how to get it."""

    name: str
    present: bool
    detail: str
    optional: bool = False


def examine() -> list[Finding]:
    """Every engine and tool, default ones first. Nothing is built; a built Darknet engine is asked."""
    from mgn_convert.formats.darknet.build import cached_library

    found = [
        _distribution("torch", "torch"),
        _distribution("opencv", "opencv-python-headless"),
        _distribution("onnxruntime", "onnxruntime"),
    ]
    tools = [
        _tool("gcc", "the C compiler that builds Darknet"),
        _tool("patch", "applies our patches to Darknet"),
    ]
    built = cached_library()
    note = str(built) if built else "not built yet; built on first use, or by `mgn-convert darknet build`"
    apt = _tool("apt-get", "fetches Darknet's source; without it: `mgn-convert darknet build --source DIR`")
    tensorflow = util.find_spec("tensorflow") is not None
    extra = "installed" if tensorflow else "not installed; optional: pip install 'mgn-convert[tensorflow]'"
    caffe = util.find_spec("caffe") is not None
    return [
        *found,
        *tools,
        Finding(apt.name, apt.present, apt.detail, optional=True),
        Finding("tensorflow", tensorflow, extra, optional=True),
        Finding("darknet", built is not None, note, optional=True),
        _convolution(),
        Finding("pycaffe", caffe, "--engine pycaffe" if caffe else "not installed; optional", optional=True),
    ]


def _convolution() -> Finding:
    """What the Darknet engine convolves with, and how it would be faster; present with a library for that."""
    from mgn_convert.formats.darknet.build import cached_library
    from mgn_convert.formats.darknet.convolutions import BUILTIN, choose, faster_than
    from mgn_convert.formats.darknet.library import load_library

    try:
        chosen = choose()
    except MgnConvertError as error:
        return Finding("convolution", False, f"{error.what}; {error.remedy}", optional=True)
    faster = faster_than(chosen)
    detail = f"{chosen.label}; faster: {faster}" if faster else chosen.label
    if built := cached_library():
        try:
            detail += f"; the engine says: {load_library(built).dk_convolutions().decode()}"
        except MgnConvertError as error:
            detail += f"; but {error.what}: {error.because}"
    return Finding("convolution", chosen != BUILTIN, detail, optional=True)


def _distribution(name: str, distribution: str) -> Finding:
    try:
        return Finding(name, True, metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return Finding(name, util.find_spec(name) is not None, f"pip install {distribution}")


def _tool(name: str, purpose: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path is not None, path or f"missing: {purpose}")
