"""Everything of a training that changes while it runs, and that its checkpoints hold."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mgn_convert.errors import UsageError
from mgn_reid.training import randomness
from mgn_reid.training.checkpoint import Progress
from mgn_reid.training.distributed import Processes
from mgn_reid.training.frozen import Frozen
from mgn_reid.training.learner import Learner
from mgn_reid.training.network import assemble
from mgn_reid.training.optimisers import make_optimiser
from mgn_reid.training.sections import Config


class State:
    """A training at its start; `restore` takes it to where a checkpoint was.

    model: what is called for a batch: the learner, or what averages its gradients over the processes.
    scores: the last ones that were measured, see `scoring.record`; best: the highest mAP so far.
    """

    def __init__(self, config: Config, identities: list[int], processes: Processes) -> None:
        self._config, self._identities, self._processes = config, identities, processes
        self.progress = Progress()
        self.scores: dict[str, float | int] | None = None
        self.best = -1.0
        self.assembled = assemble(config, len(identities))
        self.learner = _learner(config, self.assembled.network, len(identities), processes)
        self.frozen = Frozen(config, self.learner)
        learning = [(n, p) for n, p in named_parameters(self.learner) if p.requires_grad]
        self.optimiser = make_optimiser(config.optimiser, learning)
        self.model = _parallel(self.learner, processes)
        device = processes.device.type
        self.scaler = torch.amp.GradScaler(device, enabled=config.amp and device == "cuda")
        randomness.seed(config.seed, processes.rank)

    def content(self, schedule: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds; `schedule` says where the schedule is. All processes take part in it."""
        progress = self.progress
        return {
            "state_dict": self.learner.network.state_dict(),
            "architecture": self.assembled.record,
            "criteria": self.learner.criteria.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": schedule,
            "scaler": self.scaler.state_dict(),
            "epoch": progress.epoch,
            "batches": progress.batches,
            "iteration": progress.iteration,
            "config": self._config.model_dump(mode="json"),
            "random": self._processes.gathered(randomness.state(self._processes.device)),
            "identities": self._identities,
            "scores": self.scores,
            "best": self.best,
        }

    def restore(self, saved: dict[str, Any]) -> bool:
        """Go on from the content of a checkpoint of the same configuration and people.

        False when it is of another number of processes, whose random numbers cannot be gone on with.
        """
        self.learner.network.load_state_dict(saved["state_dict"])
        self.learner.criteria.load_state_dict(saved["criteria"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.scaler.load_state_dict(saved["scaler"])
        self.progress = Progress(saved["epoch"], saved["batches"], saved["iteration"])
        self.scores, self.best = saved["scores"], saved["best"]
        states = saved["random"]
        if len(states) != self._processes.size:
            return False
        randomness.restore(states[self._processes.rank], self._processes.device)
        return True


def named_parameters(learner: Learner) -> list[tuple[str, nn.Parameter]]:
    """The network's parameters by its own names, and those of the losses by names after `criteria.`."""
    return [(name.removeprefix("network."), p) for name, p in learner.named_parameters()]


def _learner(config: Config, network: nn.Module, num_classes: int, processes: Processes) -> Learner:
    learner = Learner(network, config.losses, num_classes)
    if config.batch_norm == "synchronised" and processes.size > 1:
        if processes.device.type != "cuda":
            raise UsageError("batch norms are synchronised on GPUs alone", at="batch_norm", remedy="own")
        nn.SyncBatchNorm.convert_sync_batchnorm(learner)  # type: ignore[no-untyped-call]
    return learner.to(processes.device)


def _parallel(learner: Learner, processes: Processes) -> nn.Module:
    """Buffers stay each process's own: statistics of batch norms differ, and losses keep theirs equal."""
    if processes.size == 1:
        return learner
    devices = [processes.device.index] if processes.device.type == "cuda" else None
    with warnings.catch_warnings():  # of a new name for the last argument, which older versions lack
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(learner, devices, broadcast_buffers=False)
