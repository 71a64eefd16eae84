"""Networks on the device that the command line names."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import click

from mgn_convert.embed import Embedder, open_embedder
from mgn_convert.errors import MissingEngineError, UsageError
from mgn_convert.formats import Source, format_of
from mgn_convert.graph.types import Array

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="For PyTorch networks; the others run on the CPU.",
)


def chosen_device(name: str) -> str:
    """`name`, or what "auto" stands for here. Raises MissingEngineError for cuda where there is none."""
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise MissingEngineError("PyTorch sees no CUDA device", remedy="--device cpu")
    return "cpu"


@contextmanager
def open_on(source: Source, device: str) -> Iterator[Embedder]:
    """`source` as an Embedder: a PyTorch network on `device`, anything else in its own engine on the CPU."""
    with open_embedder(source) as made:
        if device == "cpu" or format_of(source).name != "pytorch":
            yield made
        else:
            yield on_device(made, source, device)


def on_device(made: Embedder, source: Source, device: str) -> Embedder:
    """`made` from the PyTorch model `source`, computed on `device` in full float32."""
    import torch
    from torch.utils import _pytree as pytree

    from mgn_convert.formats.pytorch.network import load
    from mgn_convert.formats.pytorch.program import path_of

    loaded = load(source)
    if loaded.module is None:
        raise UsageError(f"{source} is a program for the CPU", remedy="--device cpu")
    network = copy.deepcopy(loaded.module).to(device).eval()
    (path,) = loaded.captured.program.outputs
    step = None if loaded.captured.any_batch else loaded.captured.program.batch

    def run(images: Array) -> Array:
        found = []
        # TensorFloat-32, the default of convolutions, has ten bits of mantissa.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for part in torch.split(torch.from_numpy(images), step or len(images)):
                leaves = pytree.tree_flatten_with_path(network(part.to(device)))[0]
                found.append({path_of(keys): leaf for keys, leaf in leaves}[path])
        array: Array = torch.cat(found).float().cpu().numpy()
        return array

    return replace(made, engine=f"{made.engine} on {device}", run=run)
