"""LAG-Net's regularisation: the vectors of an identity stay near their running centre."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from mgn_reid.training.losses.settings import Centre


class CentreCriterion(nn.Module):
    """Squared distance of vectors to the centres of their identities, which follow the vectors.

    A vector counts as m: its signed root sign(x) sqrt(|x| + 1e-12), at length 1. The loss is the sum of
    (m - c)^2 over N, where c is the centre at length 1. After that, each centre in the batch moves by `rate`
    times the mean of m - c over its identity's pictures. Centres start at zero.

    centres: (num_classes, width), a buffer. Under torch.distributed each process adds the vectors of all
    processes, so that the centres are the same in each; their batches have to be of one size.
    """

    centres: Tensor

    def __init__(self, settings: Centre, width: int, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("centres", torch.zeros(num_classes, width))

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """The weighted loss, a scalar, of vectors (N, width) of the identities `labels` (N,)."""
        roots = functional.normalize(vectors.sign() * (vectors.abs() + 1e-12).sqrt())
        distances = roots - functional.normalize(self.centres[labels])
        if self.training:
            self._follow(_everywhere(roots.detach()), _everywhere(labels))
        return self.settings.weight * distances.square().sum() / len(vectors)

    def _follow(self, roots: Tensor, labels: Tensor) -> None:
        identities: Tensor = torch.unique(labels)
        members = (identities[:, None] == labels).to(roots.dtype)
        means = members @ roots / members.sum(1, keepdim=True)
        centres = self.centres[identities]
        self.centres[identities] = centres + self.settings.rate * (means - functional.normalize(centres))


def _everywhere(tensor: Tensor) -> Tensor:
    """The tensors of all processes, one after another."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return tensor
    found = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, tensor.contiguous())
    return torch.cat(found)
