"""What learning rates are multiplied by: a function of how far the training is, without state of its own."""

from __future__ import annotations

import math

from mgn_reid.training.sections import Cosine, Schedule, Steps


def factor(schedule: Schedule, iteration: int, per_epoch: int) -> float:
    """The factor for the iteration that follows `iteration` finished ones; an epoch has `per_epoch`."""
    time = iteration / per_epoch if schedule.unit == "epochs" else float(iteration)
    warmup = schedule.warmup
    rise = 1.0
    if warmup is not None and iteration < warmup.iterations:
        rise = warmup.start + (1 - warmup.start) * iteration / warmup.iterations
    return rise * _fall(schedule, time)


def _fall(schedule: Schedule, time: float) -> float:
    if isinstance(schedule, Steps):
        return schedule.factor ** sum(time >= at for at in schedule.at)
    if isinstance(schedule, Cosine):
        share = min(max((time - schedule.begin) / (schedule.until - schedule.begin), 0.0), 1.0)
        return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * share)) / 2
    return 1.0
