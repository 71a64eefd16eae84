"""One of two processes that learn together: python learn_together.py RANK FOLDER.

Each takes its half of FOLDER/batch.pt through DistributedDataParallel and saves what came out.
"""

import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.models.trainable import Trainable
from mgn_reid.training.learner import Learner
from mgn_reid.training.losses.settings import Centre, CrossEntropy, Triplet


class Network(Trainable):
    """A vector, a head, and a layer that nothing enters."""

    input_size = (2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 5)
        self.head = nn.Linear(5, 4)
        self.unused = nn.Linear(5, 5)

    def training_outputs(self, images: torch.Tensor) -> TrainingOutputs:
        vector = self.layer(images.flatten(1))
        return TrainingOutputs({"v": vector}, {"v": Scored(vector, self.head.weight, self.head.bias)})


def learner() -> Learner:
    torch.manual_seed(0)
    return Learner(Network().double(), [CrossEntropy(), Triplet(on=("v",)), Centre(on="v", rate=0.5)], 4)


def main(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    images, labels = torch.load(folder / "batch.pt")
    own = learner().double()
    together = DistributedDataParallel(own, broadcast_buffers=False)
    for step in range(2):
        half = slice(8 * step + 4 * rank, 8 * step + 4 * rank + 4)
        own.zero_grad()
        terms = together(images[half], labels[half])
        sum(terms.values()).backward()
    grads = {name: p.grad for name, p in own.named_parameters() if p.grad is not None}
    torch.save({"grads": grads, "centres": own.criteria[2].centres}, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
