"""A data set for tests in Market-1501's layout, with coloured blocks for people, and networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn


def make_people(folder: Path, people: int = 8, cameras: int = 3, noise: float = 30.0, seed: int = 0) -> Path:
    """Each camera's first picture of a person is a query, its second is in the gallery; two to train on."""
    random = np.random.default_rng(seed)
    for part in ("query", "bounding_box_test", "bounding_box_train"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for person in range(1, people + 2):
        blocks = random.uniform(60, 196, (6, 3, 3))
        parts = ("query", "bounding_box_test") if person <= people else ("bounding_box_train",) * 2
        for camera in range(1, cameras + 1):
            light = random.uniform(-20, 20, 3)
            for shot, part in enumerate(parts):
                pixels = (blocks + light + random.normal(0, noise, blocks.shape)).repeat(9, 0).repeat(7, 1)
                name = f"{person:04d}_c{camera}s1_{shot:06d}_00.jpg"
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(
                    folder / part / name, quality=95
                )
    return folder


def colours() -> nn.Module:
    """The factory of a network for 3 x 24 x 12: mean colours, which tell these people apart."""
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten())


class OneAtATime(nn.Module):
    """Takes a single image of 3 x 24 x 12."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert len(x) == 1, "one image at a time"
        return nn.functional.avg_pool2d(x, 4).flatten(1)


def one_at_a_time() -> nn.Module:
    """The factory of a network that cannot have batches."""
    return OneAtATime()
