"""The scores of a network in the middle of its training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mgn_convert.datasets.types import Dataset
from mgn_convert.embed import Advance, unseen
from mgn_convert.graph.types import Array
from mgn_convert.parity.people import score_pictures
from mgn_convert.parity.retrieval import Scores, Settings
from mgn_reid.training.network import Assembled
from mgn_reid.training.sections import Evaluation

NAMES = ("rank-1", "rank-5", "rank-10", "mAP", "mINP")
"""What is told of the scores."""


def score(
    assembled: Assembled,
    dataset: Dataset,
    settings: Evaluation,
    device: torch.device,
    *,
    skip_bad: bool = False,
    advance: Advance = unseen,
) -> Scores:
    """Query and gallery scored with the network as it is. Modules keep their modes."""
    network = assembled.network
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        return score_pictures(
            lambda images: _embeddings(network, assembled.output, images, device),
            assembled.preprocessing,
            dataset,
            Settings(metric=settings.metric, protocol=settings.protocol),
            flip=settings.flip,
            batch=settings.batch,
            skip_bad=skip_bad,
            advance=advance,
        )
    finally:
        for module, mode in modes.items():
            module.training = mode


def _embeddings(network: nn.Module, output: int | None, images: Array, device: torch.device) -> Array:
    """Network inputs (N, 3, H, W) to embeddings (N, D), float32."""
    with torch.inference_mode():
        found: Any = network(torch.from_numpy(images).to(device))
    embeddings: Array = (found if output is None else found[output]).float().cpu().numpy()
    return embeddings


def record(scores: Scores, epoch: int, iteration: int) -> dict[str, float | int]:
    """What checkpoints keep of them: shares of 1, with where in the training they were measured."""
    return {
        "epoch": epoch,
        "iteration": iteration,
        **{f"rank-{k}": scores.rank(k) for k in (1, 5, 10)},
        "mAP": scores.mean_ap,
        "mINP": scores.mean_inp,
    }
