"""One of the processes that train together: torchrun ... train_together.py CONFIG FOLDER.

Takes one step and saves what each process holds after it, in FOLDER; then trains into FOLDER/out with an
interruption, and into FOLDER/whole without one.
"""

import json
import sys
from pathlib import Path

import torch

from mgn_convert.datasets import read_dataset
from mgn_reid.data.pictures import People
from mgn_reid.training.config import load_config
from mgn_reid.training.distributed import joined
from mgn_reid.training.interrupt import Request
from mgn_reid.training.loop import Loop, Task
from mgn_reid.training.trainer import train

ONE_STEP = (
    "optimiser={kind: sgd, rate: 0.01, momentum: 0}",
    "data.identities=4",
    "epochs=null",
    "iterations=1",
    "evaluation.every=null",
)
RUN = ("data.identities=4", "data.passes=2", "log_every=1")


def task(config, out):
    dataset = read_dataset(config.data.folder)
    return Task(config, out, dataset, People(dataset.train))


def one_step(processes, config, out):
    rank = processes.rank
    loop = Loop(task(config, out), processes, Request())
    loop.run(None)
    torch.save(loop.state.learner.state_dict(), out / f"{rank}.pt")
    told = {
        "any": [processes.any(rank == 1), processes.any(False)],
        "mean": processes.mean(torch.tensor([1.0, 4.0 * rank], dtype=torch.float64)).tolist(),
        "gathered": processes.gathered(rank + 10),
        "first": processes.first,
    }
    (out / f"{rank}.json").write_text(json.dumps(told))


def main(config, folder):
    with joined("cpu") as processes:
        one_step(processes, load_config(config, ONE_STEP), folder)
        for epochs, out in ((1, "out"), (2, "out"), (2, "whole")):
            processes.any(False)  # waits until the first has saved
            train(load_config(config, (*RUN, f"epochs={epochs}")), folder / out, resume=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
