"""The processes of a training: one alone, or as many as torchrun starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from mgn_convert.errors import UsageError

PATIENCE = timedelta(hours=12)
"""How long processes wait for each other: the others wait while the first one evaluates."""


@dataclass(frozen=True)
class Processes:
    """This process among all: its number, how many there are, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the one that logs, evaluates and writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        shared = torch.tensor(int(flag))
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return bool(shared)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of each number over the processes."""
        if self.size == 1:
            return values
        shared = values.cpu()
        dist.all_reduce(shared)
        return shared / self.size

    def gathered(self, content: Any) -> list[Any]:
        """What each process gives, in their order."""
        found = [content] * self.size
        if self.size > 1:
            dist.all_gather_object(found, content)
        return found


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Meet the other processes that torchrun started, if it did and they have not met.

    device: "auto", "cpu" or "cuda"; with CUDA, each process of a machine takes the GPU of its number.
    Raises UsageError for a device that is not there.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1 or dist.is_initialized():
        yield Processes(rank, size, chosen)
        return
    cuda = chosen.type == "cuda"
    if cuda:
        torch.cuda.set_device(chosen)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Processes(rank, size, chosen)
    finally:
        dist.destroy_process_group()


def _device(name: str, local: int) -> torch.device:
    there = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not there):
        return torch.device("cpu")
    if local >= there:
        raise UsageError(
            f"process {local} of this machine has no GPU",
            because=f"PyTorch {torch.__version__} sees {there} CUDA devices",
            remedy="device=cpu, or as many processes as there are GPUs",
        )
    return torch.device("cuda", local)
