"""A training from its configuration to its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from mgn_convert.datasets import Dataset, concerns, differences, read_dataset
from mgn_convert.errors import MgnConvertError, UsageError
from mgn_convert.files import write_text
from mgn_reid.data.pictures import People
from mgn_reid.training import checkpoint
from mgn_reid.training.distributed import Processes, joined
from mgn_reid.training.interrupt import Request, requests
from mgn_reid.training.log import EVENTS, FILE, Log
from mgn_reid.training.loop import Loop, Task
from mgn_reid.training.sections import Config


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    last: its checkpoint. scores: the last ones, if any were measured. signal: what stopped it, if anything.
    """

    last: Path
    scores: Mapping[str, float] | None
    signal: int | None


def train(
    config: Config, out: Path, *, resume: bool = False, overwrite: bool = False, skip_bad: bool = False
) -> Outcome:
    """Train, evaluate and save into `out`, alone or as one of the processes of torchrun.

    resume: go on from `out`/last.pth, if it is there. overwrite: remove the training that `out` holds.
    skip_bad: take another picture of the person, or leave it out of the scores, where one cannot be read.

    Raises UsageError for settings that cannot be met and files that cannot be written, FileFormatError for
    pictures and checkpoints that cannot be read, MgnConvertError when the loss is no longer finite.
    """
    dataset, people = _read(config)
    with joined(config.device) as processes, requests() as request:
        saved = _saved(out, resume, overwrite)
        if saved is not None:
            checkpoint.check_config(saved["config"], config)
            checkpoint.check_identities(saved["identities"], people.identities)
        _check_people(config, people, processes)
        loop = Loop(Task(config, out, dataset, people, skip_bad), processes, request)
        if saved is not None:
            loop.restore(saved)
        _check_together(loop.state.progress, processes, out)
        log = _begin(config, out, overwrite) if processes.first else None
        if log is not None:
            _introduce(log, config, dataset, people, processes)
        try:
            loop.run(log)
        except (RuntimeError, ConnectionError, EOFError) as error:
            raise _outage(error) from error
        return _finished(loop, out, request, log)


def _saved(out: Path, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """The checkpoint to go on from. Raises UsageError where another training would be overwritten."""
    last = out / checkpoint.LAST
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if resume:
        return checkpoint.load(last) if last.exists() else None
    if not overwrite and (last.exists() or (out / checkpoint.CONFIG).exists()):
        raise UsageError(
            f"{out} holds another training",
            remedy="--resume to go on with it, --overwrite to remove it, or another --out",
        )
    return None


def _read(config: Config) -> tuple[Dataset, People]:
    if config.data.folder is None:
        raise UsageError("there is no data set to train on", at="data.folder", remedy="data.folder=DIR")
    dataset = read_dataset(config.data.folder, config.data.kind)
    if not dataset.train:
        raise UsageError(f"{config.data.folder} has no training pictures", got=dataset.name)
    return dataset, People(dataset.train)


def _check_people(config: Config, people: People, processes: Processes) -> None:
    wanted, found = config.data.identities, len(people.identities)
    if found < wanted:
        raise UsageError(
            f"the data set has fewer people than a batch: {found}",
            at="data.identities",
            got=str(wanted),
            remedy=f"data.identities={found} at most",
        )
    if wanted % processes.size or wanted // processes.size < 2:
        raise UsageError(
            f"{wanted} people cannot be split over {processes.size} processes",
            at="data.identities",
            because="each process takes as many whole people, two at least",
            remedy=f"data.identities={max(2, round(wanted / processes.size)) * processes.size}",
        )


def _check_together(progress: checkpoint.Progress, processes: Processes, out: Path) -> None:
    """Raises UsageError where processes are at different places. None goes on before all were here."""
    iterations = processes.gathered(progress.iteration)
    if len(set(iterations)) > 1:
        raise UsageError(
            f"the processes do not see one {out / checkpoint.LAST}",
            because="each goes on from what it reads there",
            got="at iterations " + ", ".join(map(str, iterations)),
            remedy="--out with a folder that all machines share",
        )


def _begin(config: Config, out: Path, overwrite: bool) -> Log:
    """Write down the configuration; with `overwrite`, remove what the training before left."""
    if overwrite and out.is_dir():
        named = (checkpoint.LAST, checkpoint.BEST, checkpoint.CONFIG, FILE)
        for path in (*map(out.joinpath, named), *out.glob("epoch-*.pth"), *out.glob(f"{EVENTS}*")):
            path.unlink(missing_ok=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_text(out / checkpoint.CONFIG, text)
    return Log(out)


def _introduce(log: Log, config: Config, dataset: Dataset, people: People, processes: Processes) -> None:
    log.line(
        f"{config.network.name} on {dataset.name}: {len(people.identities)} people,"
        f" {len(dataset.train)} pictures; batches of {config.data.identities} x {config.data.pictures};"
        f" {processes.size} x {processes.device.type}"
    )
    for line in (*differences(dataset), *concerns(dataset)):
        log.line(f"note: {line}")
    if not (dataset.query and dataset.gallery):
        log.line("there are no scores on the way: the data set has no query and gallery pictures")


def _outage(error: Exception) -> Exception:
    """What the machine did to a training, in our words; any other error as it is."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return MgnConvertError(
            "the GPU's memory is too small for this training",
            because=text.split(". ")[0],
            remedy="amp=true; or fewer data.identities a batch, with accumulate for as many a step",
        )
    if isinstance(error, (ConnectionError, EOFError)) or "DataLoader worker" in text:
        return MgnConvertError(
            "a process that loads pictures has ended",
            because=text.partition("\n")[0],
            remedy="data.workers=0 shows why; too little memory is the usual cause",
        )
    return error


def _finished(loop: Loop, out: Path, request: Request, log: Log | None) -> Outcome:
    last = out / checkpoint.LAST
    if log is not None:
        if request.came and not loop.finished:
            log.line(f"stopped; {last} is saved, and the same command with --resume goes on from it")
        else:
            log.line(f"done: {last}")
    return Outcome(last, loop.state.scores, None if loop.finished else request.signal)
