"""How many pictures a second training takes, of recipes at their full size.

    python benchmarks/train.py [--recipe NAME ...] [--steps N] [--workers N] [KEY=VALUE ...]

By default all networks, with 20 steps each, on a GPU; on a CPU three of them, with two steps.
Loading is measured alone (synthetic people of 128x64, resized and changed as the recipe says), and so are the
steps of the optimiser, on batches that lie in the device's memory. A training runs at the lower of the two.
Prints a table and asserts nothing.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from mgn_convert.datasets import read_dataset
from mgn_reid.data.augment import Augment
from mgn_reid.data.pictures import Batch, People, TrainingPictures, loader
from mgn_reid.data.sampler import PeopleSampler
from mgn_reid.synthesis import make_dataset
from mgn_reid.training.config import load_config
from mgn_reid.training.distributed import Processes, joined
from mgn_reid.training.interrupt import Request
from mgn_reid.training.loop import Loop, Task
from mgn_reid.training.network import preprocessing_of

RECIPES = ("mgn", "fastreid-mgn", "fastreid-bagtricks", "fastreid-sbs", "mudeep", "lagnet")
ON_CPU = ("mgn-small", "fastreid-bagtricks", "mgn")


def loading(task: Task, batches: int) -> float:
    """Pictures per second of the loader alone, after its processes have started."""
    config = task.config
    sampler = PeopleSampler(task.plan)
    augment = Augment(preprocessing_of(config), config.data.augmentation)
    paths = [picture.path for picture in task.dataset.train]
    pictures = TrainingPictures(paths, task.people, augment, config.seed, False)
    made = loader(pictures, sampler, config.data.workers, False)
    endless = _endless(made, sampler)
    next(endless)
    began = time.perf_counter()
    total = sum(len(batch.labels) for batch in islice(endless, batches))
    return total / (time.perf_counter() - began)


def _endless(made: Iterable[Batch], sampler: PeopleSampler) -> Iterator[Batch]:
    for epoch in count():
        sampler.begin(epoch)
        yield from made


def stepping(task: Task, processes: Processes, steps: int) -> float:
    """Pictures per second of the optimiser's steps, with one batch that is on the device already."""
    loop = Loop(task, processes, Request())
    data, shape = task.config.data, preprocessing_of(task.config)
    images = torch.randn(data.identities * data.pictures, 3, shape.height, shape.width)
    labels = torch.arange(data.identities).repeat_interleave(data.pictures)
    batch = Batch(images.to(processes.device), labels.to(processes.device))
    warm_up = 3 if processes.device.type == "cuda" else 1
    for step in range(warm_up + steps):
        if step == warm_up:
            _wait(processes.device)
            began = time.perf_counter()
        loop._iteration([batch])
        loop.state.progress.iteration += 1
    _wait(processes.device)
    return steps * len(labels) / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@click.command()
@click.option("--recipe", "names", multiple=True, help="Repeatable.")
@click.option("--steps", type=click.IntRange(1), help="Of each recipe.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, help="Processes that load.")
@click.argument("overrides", nargs=-1)
def main(names: tuple[str, ...], steps: int | None, workers: int, overrides: tuple[str, ...]) -> None:
    """Print one row per recipe."""
    cuda = torch.cuda.is_available()
    names, steps = names or (RECIPES if cuda else ON_CPU), steps or (20 if cuda else 2)
    table = Table("recipe", "batch", "size", "precision", "loaded/s", "stepped/s", "memory")
    with tempfile.TemporaryDirectory() as scratch, joined("auto") as processes:
        folder = Path(scratch) / "people"
        make_dataset(folder, identities=32, test_identities=2, distractors=0, workers=workers)
        dataset = read_dataset(folder)
        for name in names:
            config = load_config(name, [f"data.folder={folder}", f"data.workers={workers}", *overrides])
            task = Task(config, folder, dataset, People(dataset.train))
            if processes.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            size, data = preprocessing_of(config), config.data
            table.add_row(
                name,
                f"{data.identities} x {data.pictures}",
                f"{size.height}x{size.width}",
                "mixed" if config.amp else "float32",
                f"{loading(task, max(steps, 10)):.0f}",
                f"{stepping(task, processes, steps):.1f}",
                _memory(processes.device),
            )
    device = (
        torch.cuda.get_device_name()
        if processes.device.type == "cuda"
        else f"{torch.get_num_threads()} cores"
    )
    Console(width=120).print(table, f"{device}, PyTorch {torch.__version__}, {workers} loading processes")


def _memory(device: torch.device) -> str:
    return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB" if device.type == "cuda" else ""


if __name__ == "__main__":
    main()
