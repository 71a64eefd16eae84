"""PyTorch networks: checkpoints with an architecture or a factory, pickled modules, exported programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mgn_convert.formats import Format, Runner, Source, lazily

if TYPE_CHECKING:
    from mgn_convert.graph.types import Graph

SUFFIXES = (".pth", ".pt", ".pkl", ".pt2", ".safetensors", ".tar")


def read(source: Source) -> Graph:
    """The network as a graph for one image. See `network.load` for what it raises."""
    from mgn_convert.formats.pytorch.network import load

    return load(source).captured.graph


def open_runner(source: Source) -> Runner:
    """PyTorch itself, on the CPU, in float32."""
    from mgn_convert.formats.pytorch.network import load
    from mgn_convert.formats.pytorch.runner import PyTorchRunner

    return PyTorchRunner(load(source))


FORMAT = Format(
    "pytorch",
    suffixes=SUFFIXES,
    read=read,
    open_runner=open_runner,
    complete=lazily("mgn_convert.formats.pytorch.record", "complete"),
)
