"""Mean losses and speed since the last report."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from mgn_reid.training.distributed import Processes


class Totals:
    """Sums that stay on their device until they are asked for, so that nothing waits for it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sums: dict[str, Tensor] = {}
        self._batches, self._pictures = 0, 0
        self._began = time.perf_counter()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to report."""
        return self._batches == 0

    def add(self, terms: Mapping[str, Tensor], pictures: int) -> None:
        """The losses of one batch, and how many pictures it had."""
        for name, term in terms.items():
            value = term.detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._batches += 1
        self._pictures += pictures

    def means(self, processes: Processes) -> tuple[dict[str, float], float]:
        """Each loss per batch, over all processes; and pictures per second of this one."""
        values = processes.mean(torch.stack(list(self._sums.values())) / self._batches).tolist()
        return dict(zip(self._sums, values, strict=True)), self._pictures / (
            time.perf_counter() - self._began
        )
