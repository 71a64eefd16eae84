"""The loop of a training: iterations, evaluations, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from mgn_convert.console import progress_bar
from mgn_convert.datasets.types import Dataset
from mgn_convert.errors import MgnConvertError
from mgn_reid.data.augment import Augment
from mgn_reid.data.pictures import Batch, People, TrainingPictures, loader
from mgn_reid.data.sampler import PeopleSampler, Plan
from mgn_reid.training import checkpoint, scoring
from mgn_reid.training.distributed import Processes
from mgn_reid.training.interrupt import Request
from mgn_reid.training.log import Log
from mgn_reid.training.optimisers import set_rates
from mgn_reid.training.schedule import factor
from mgn_reid.training.sections import Config
from mgn_reid.training.state import State
from mgn_reid.training.totals import Totals

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """What is trained on what, and where it is saved."""

    config: Config
    out: Path
    dataset: Dataset
    people: People
    skip_bad: bool = False

    @property
    def plan(self) -> Plan:
        """How epochs are drawn."""
        data = self.config.data
        people = self.people.pictures
        return Plan(people, data.identities, data.pictures, data.passes, data.incomplete, self.config.seed)


class Loop:
    """One process of a training. Making it reads files and checks settings, and writes nothing."""

    def __init__(self, task: Task, processes: Processes, request: Request) -> None:
        config = task.config
        self._task, self._config, self._processes = task, config, processes
        self._request = request
        self._log: Log | None = None
        self.state = State(config, task.people.identities, processes)
        self._half = torch.float16 if processes.device.type == "cuda" else torch.bfloat16
        self._totals = Totals()
        self._told: set[str] = set()
        self._plan = task.plan
        self._sampler = PeopleSampler(self._plan, processes.rank, processes.size)
        augment = Augment(self.state.assembled.preprocessing, config.data.augmentation)
        paths = [picture.path for picture in task.dataset.train]
        pictures = TrainingPictures(paths, task.people, augment, config.seed, task.skip_bad)
        self._loader = loader(pictures, self._sampler, config.data.workers, processes.device.type == "cuda")
        self._opening = list(self.state.assembled.told)

    @property
    def per_epoch(self) -> int:
        """Iterations of an epoch."""
        return math.ceil(self._plan.batches / self._config.accumulate)

    @property
    def finished(self) -> bool:
        """Whether the training has its length."""
        progress = self.state.progress
        if self._config.iterations is not None:
            return progress.iteration >= self._config.iterations
        return progress.epoch >= (self._config.epochs or 0)

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from the content of a checkpoint."""
        same = self.state.restore(saved)
        self._opening = [f"going on after iteration {self.state.progress.iteration}"]
        if not same:
            told = "another number of processes: the numbers are not those of a training in one go"
            self._opening.append(told)

    def run(self, log: Log | None) -> None:
        """Train on from where the progress is, until the end or a request to stop.

        log: given to the first process alone.
        """
        self._log = log
        for line in self._opening:
            self._tell(line)
        self._evaluate()
        while not self.finished and not self._stopping():
            self._epoch()
            self._save()
            self._evaluate()

    def _stopping(self) -> bool:
        return self._processes.any(self._request.came)

    def _epoch(self) -> None:
        """From where the progress is to the end of its epoch, or of the training, or to a request to stop."""
        progress, accumulate = self.state.progress, self._config.accumulate
        self._sampler.begin(progress.epoch, progress.batches)
        self._totals.reset()
        with self._bar(f"epoch {progress.epoch + 1}") as advance:
            for batches in _grouped(self._batches(), accumulate):
                self._iteration(batches)
                progress.batches += len(batches)
                progress.iteration += 1
                advance(math.ceil(progress.batches / accumulate), self.per_epoch)
                if self._config.log_every and progress.iteration % self._config.log_every == 0:
                    self._report()
                if self.finished or self._stopping():
                    break
        self._report()
        if progress.batches == self._plan.batches:
            progress.epoch, progress.batches = progress.epoch + 1, 0

    def _batches(self) -> Iterator[Batch]:
        """The batches of the epoch, their faults told or raised."""
        for batch in self._loader:
            if batch.error is not None:
                raise batch.error
            for line in batch.unreadable:
                self._tell_once(f"left out: {line}")
            yield batch

    def _iteration(self, batches: Sequence[Batch]) -> None:
        """One step of the optimiser, along the mean gradient of the batches."""
        state, device = self.state, self._processes.device
        state.frozen.set_modes(state.progress.iteration)
        set_rates(state.optimiser, self._factor())
        for i, batch in enumerate(batches):
            images = batch.images.to(device, non_blocking=True)
            labels = batch.labels.to(device, non_blocking=True)
            with self._apart(i + 1 < len(batches)):
                with torch.autocast(device.type, self._half, enabled=self._config.amp):
                    terms = state.model(images, labels)
                loss = torch.stack(list(terms.values())).sum() / len(batches)
                state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self._totals.add(terms, len(labels) * self._processes.size)
        state.frozen.drop_gradients(state.progress.iteration)
        state.scaler.step(state.optimiser)
        state.scaler.update()
        state.optimiser.zero_grad(set_to_none=True)

    def _apart(self, apart: bool) -> AbstractContextManager[None]:
        """Gradients are shared between processes with the last batch of an iteration alone."""
        model = self.state.model
        return model.no_sync() if apart and isinstance(model, DistributedDataParallel) else nullcontext()

    def _factor(self) -> float:
        """The schedule's, of the iteration that comes next."""
        return factor(self._config.schedule, self.state.progress.iteration, self.per_epoch)

    def _report(self) -> None:
        """One line, and a point of each curve. Raises MgnConvertError when the loss is no longer finite."""
        if self._totals.empty:
            return
        terms, speed = self._totals.means(self._processes)
        self._totals.reset()
        progress = self.state.progress
        if not all(map(math.isfinite, terms.values())):
            raise MgnConvertError(
                f"the loss is no longer finite, in epoch {progress.epoch + 1}",
                got=", ".join(f"{name} {value:.4g}" for name, value in terms.items()),
                remedy="a lower optimiser.rate or a longer schedule.warmup",
            )
        rate = self.state.optimiser.param_groups[0]["lr"]
        named = "  ".join(f"{name} {value:.4f}" for name, value in terms.items())
        self._tell(
            f"epoch {progress.epoch + 1}  iteration {progress.iteration}  {named}  rate {rate:.2e}"
            f"  {speed:.1f} pictures/s"
        )
        curves = {f"loss/{name}": value for name, value in terms.items()}
        self._draw({**curves, "rate": rate, "pictures per second": speed})

    def _evaluate(self) -> None:
        """Score the network if it is time and was not done yet; the first process does, the others wait."""
        state, every = self.state, self._config.evaluation.every
        progress, dataset = state.progress, self._task.dataset
        due = self.finished or (every and progress.epoch % every == 0 and progress.batches == 0)
        known = state.scores is not None and state.scores["iteration"] == progress.iteration
        if not due or known or not progress.iteration or not (dataset.query and dataset.gallery):
            return
        found = self._processes.gathered(self._scored() if self._processes.first else None)[0]
        if found is not None:
            state.scores = found
            self._save(best=found["mAP"] > state.best)

    def _scored(self) -> dict[str, float | int] | None:
        """The scores, told; None if the evaluation was asked to stop."""
        with self._bar("evaluating") as advance, suppress(_StopError):
            found = scoring.score(
                self.state.assembled,
                self._task.dataset,
                self._config.evaluation,
                self._processes.device,
                skip_bad=self._task.skip_bad,
                advance=lambda done, total: self._advance_or_stop(advance, done, total),
            )
            scores = scoring.record(found, self.state.progress.epoch, self.state.progress.iteration)
            shares = {name: float(scores[name]) for name in scoring.NAMES}
            told = "  ".join(f"{name} {share:.1%}" for name, share in shares.items())
            self._tell(f"iteration {scores['iteration']}  scores  {told}")
            self._draw({f"score/{name}": share for name, share in shares.items()})
            return scores
        return None

    def _advance_or_stop(self, advance: Advance, done: int, total: int) -> None:
        advance(done, total)
        if self._request.came:
            raise _StopError

    def _save(self, best: bool = False) -> None:
        """last.pth, and beside it what is best or kept for good."""
        state, out = self.state, self._task.out
        if best and state.scores is not None:
            state.best = float(state.scores["mAP"])
        content = state.content({"factor": self._factor(), "iterations_per_epoch": self.per_epoch})
        if not self._processes.first:
            return
        if best:
            checkpoint.save(content, out / checkpoint.BEST)
        checkpoint.save(content, out / checkpoint.LAST)
        progress, every = state.progress, self._config.keep_every
        if every and progress.batches == 0 and progress.epoch % every == 0:
            checkpoint.save(content, out / f"epoch-{progress.epoch}.pth")

    def _tell(self, line: str) -> None:
        if self._log is not None:
            self._log.line(line)

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    def _draw(self, values: dict[str, float]) -> None:
        if self._log is not None:
            self._log.scalars(values, self.state.progress.iteration)

    def _bar(self, title: str) -> AbstractContextManager[Advance]:
        return nullcontext(lambda done, total: None) if self._log is None else progress_bar(title)


class _StopError(Exception):
    """An evaluation was asked to stop."""


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := list(islice(batches, size)):
        yield group
