"""A network with its losses: what one step of training computes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor, nn

from mgn_convert.errors import UsageError
from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.models.trainable import outline, trainable
from mgn_reid.training.losses.centre import CentreCriterion
from mgn_reid.training.losses.classes import ClassCriterion
from mgn_reid.training.losses.pairs import pairs_of
from mgn_reid.training.losses.settings import CrossEntropy, LossSettings, Triplet
from mgn_reid.training.losses.triplet import TripletCriterion

Criterion = ClassCriterion | TripletCriterion | CentreCriterion


class Learner(nn.Module):
    """Images and identities to the terms of the loss.

    network: one that can be trained; it keeps its mode and its weights.
    losses: settings, in the order of the terms.
    num_classes: identities in the training set.

    criteria: a module per loss; its parameters and buffers (class layers and centres that the network lacks)
        are the learner's own state.
    idle: names of the network's parameters that no loss depends on. They do not require gradients from here
        on, so that DistributedDataParallel does not wait for them.

    Raises UsageError for a network that cannot be trained, a name under `on` that it does not give, and heads
    of another number of classes.
    """

    def __init__(self, network: nn.Module, losses: Sequence[LossSettings], num_classes: int) -> None:
        super().__init__()
        self.network = trainable(network)
        if not losses:
            raise UsageError("there is no loss to train with", remedy="at least one under losses")
        outlined = outline(self.network)
        _check_classes(outlined.outputs, num_classes)
        criteria = [_criterion(settings, outlined.outputs, num_classes) for settings in losses]
        self.criteria = nn.ModuleList(criteria)
        self.names = _names([settings.kind for settings in losses])
        used = [tensor for c in criteria for tensor in _used(c, outlined.outputs)]
        self.idle = tuple(outlined.idle(used))
        for name in self.idle:
            self.network.get_parameter(name).requires_grad_(False)

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Weighted terms by name, scalars whose sum is the loss, of images (N, 3, H, W) and identities (N,).

        The network runs in the precision that torch.autocast sets, the losses in float32.
        Raises UsageError for a batch without positive or negative pairs if a triplet loss is among the terms.
        """
        # Before the network, so that a GPU has nothing to wait for.
        pairs = pairs_of(labels) if any(isinstance(c, TripletCriterion) for c in self.criteria) else None
        outputs = self.network.training_outputs(images)
        terms = {}
        with torch.autocast(images.device.type, enabled=False):
            outputs = _in_full(outputs)
            for name, criterion in zip(self.names, self.criteria, strict=True):
                if isinstance(criterion, TripletCriterion):
                    assert pairs is not None
                    terms[name] = criterion(outputs.vectors, pairs)
                elif isinstance(criterion, CentreCriterion):
                    terms[name] = criterion(outputs.vectors[criterion.settings.on], labels)
                else:
                    terms[name] = criterion(outputs, labels)
        return terms


def _criterion(settings: LossSettings, outputs: TrainingOutputs, num_classes: int) -> Criterion:
    if isinstance(settings, CrossEntropy):
        _check_names(settings.kind, settings.on, (*outputs.classified, *outputs.vectors))
        return ClassCriterion(settings, outputs, num_classes)
    if isinstance(settings, Triplet):
        _check_names(settings.kind, settings.on, outputs.vectors)
        return TripletCriterion(settings)
    _check_names(settings.kind, (settings.on,), outputs.vectors)
    return CentreCriterion(settings, outputs.vectors[settings.on].shape[1], num_classes)


def _check_names(kind: str, named: Iterable[str], known: Collection[str]) -> None:
    for name in named:
        if name not in known:
            raise UsageError(
                f"the network gives no {name!r} to training",
                at=f"losses, {kind}, on",
                remedy=f"one of {', '.join(dict.fromkeys(known))}",
            )


def _check_classes(outputs: TrainingOutputs, num_classes: int) -> None:
    if num_classes < 2:
        raise UsageError("training needs at least 2 identities", got=str(num_classes))
    for name, scored in outputs.classified.items():
        if len(scored.weight) != num_classes:
            raise UsageError(
                "the network has heads for another number of identities",
                at=f"head {name}",
                got=f"{len(scored.weight)} classes, and {num_classes} identities in the training set",
                remedy=f"a network built with num_classes={num_classes}",
            )


def _used(criterion: Criterion, outputs: TrainingOutputs) -> list[Tensor]:
    if isinstance(criterion, TripletCriterion):
        return [outputs.vectors[name] for name in criterion.settings.on]
    if isinstance(criterion, CentreCriterion):
        return [outputs.vectors[criterion.settings.on]]
    found = []
    for scored in criterion.scored(outputs).values():
        found += [t for t in (scored.features, scored.weight, scored.bias) if t is not None and t.is_meta]
    return found


def _names(kinds: Sequence[str]) -> list[str]:
    """The kinds, numbered from the second of a kind on."""
    counts = [kinds[: i + 1].count(kind) for i, kind in enumerate(kinds)]
    return [kind if n == 1 else f"{kind}-{n}" for kind, n in zip(kinds, counts, strict=True)]


def _in_full(outputs: TrainingOutputs) -> TrainingOutputs:
    """What half precision left is float32; float64 stays."""
    vectors = {name: _full(vector) for name, vector in outputs.vectors.items()}
    classified = {
        name: Scored(_full(s.features), _full(s.weight), None if s.bias is None else _full(s.bias))
        for name, s in outputs.classified.items()
    }
    return TrainingOutputs(vectors, classified)


def _full(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
