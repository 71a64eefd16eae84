"""Classification of identities, with and without margins."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.training.losses.settings import CrossEntropy


def circle_logits(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Logits (N, C) of the cosines between vectors and class weights, for the identities (N,).

    Sun et al., "Circle Loss" (CVPR 2020), equations 6 and 10 with O_p = 1 + margin, O_n = -margin, and
    thresholds 1 - margin and margin. The weighting factors have no gradient.
    """
    own = scale * (1 + margin - cosines.detach()).clamp(min=0) * (cosines - (1 - margin))
    other = scale * (cosines.detach() + margin).clamp(min=0) * (cosines - margin)
    return torch.where(_own(cosines, labels), own, other)


def cosface_logits(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Logits (N, C): cosines, the own class's less `margin`, times `scale` (CosFace, equation 4)."""
    return scale * torch.where(_own(cosines, labels), cosines - margin, cosines)


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross entropy against 1 - smoothing at the own class and smoothing / (C - 1) at each other.

    PyTorch gives smoothing / C to every class, the own one too: the same targets for C / (C - 1) as much.
    """
    classes = logits.shape[1]
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing * classes / (classes - 1))


def _own(cosines: Tensor, labels: Tensor) -> Tensor:
    return labels[:, None] == torch.arange(cosines.shape[1], device=labels.device)


class ClassCriterion(nn.Module):
    """Cross entropy over heads, and over class layers of its own for vectors that have none.

    heads: names; each is one of what is classified or a vector in `outputs`, whose widths count alone.
    """

    def __init__(self, settings: CrossEntropy, outputs: TrainingOutputs, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.heads = settings.on or tuple(outputs.classified)
        self.layers = nn.ParameterDict()
        for name in self.heads:
            if name not in outputs.classified:
                weight = torch.empty(num_classes, outputs.vectors[name].shape[1])
                self.layers[name] = nn.Parameter(nn.init.normal_(weight, std=0.01))

    def scored(self, outputs: TrainingOutputs) -> Mapping[str, Scored]:
        """What each head's class layer takes."""
        return {name: self._scored(name, outputs) for name in self.heads}

    def forward(self, outputs: TrainingOutputs, labels: Tensor) -> Tensor:
        """The weighted loss, a scalar, for the identities `labels` (N,)."""
        losses = [
            smoothed_cross_entropy(self._logits(scored, labels), labels, self.settings.smoothing)
            for scored in self.scored(outputs).values()
        ]
        return self.settings.weight * torch.stack(losses).mean()

    def _scored(self, name: str, outputs: TrainingOutputs) -> Scored:
        found = outputs.classified.get(name)
        if found is None:
            return Scored(outputs.vectors[name], self.layers[name])
        biased = self.settings.bias and self.settings.layer == "linear"
        return found if biased else Scored(found.features, found.weight)

    def _logits(self, scored: Scored, labels: Tensor) -> Tensor:
        if self.settings.layer == "linear":
            return functional.linear(scored.features, scored.weight, scored.bias)
        unit = functional.normalize(scored.features), functional.normalize(scored.weight)
        make = circle_logits if self.settings.layer == "circle" else cosface_logits
        return make(functional.linear(*unit), labels, self.settings.scale, self.settings.margin)
