"""The deterministic weights and pictures under which the golden embeddings were computed."""

import zlib

import numpy as np
import torch
from torch import nn


def seeded_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A state_dict in float64, each tensor drawn from a generator that its key seeds."""
    return {key: torch.from_numpy(_drawn(key, tuple(shape))) for key, shape in shapes.items()}


def seeded(network: nn.Module) -> nn.Module:
    """The network in float64 and eval mode, with its seeded weights."""
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    network.load_state_dict(seeded_weights(shapes), assign=True)
    return network.double().eval()


def _drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(key.encode()))
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        return np.asarray(random.uniform(0.5, 1.5, shape))
    if leaf in ("running_mean", "bias"):
        return np.asarray(0.1 * random.standard_normal(shape))
    if len(shape) == 1:
        return np.asarray(random.uniform(0.5, 1.0, shape))
    return np.asarray(random.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:])))


def seeded_images(height: int, width: int) -> np.ndarray:
    """Two RGB pictures, uint8 (2, 3, H, W): noise, and noise in blocks of 16 x 16."""
    random = np.random.RandomState(20181126)
    fine = random.randint(0, 256, (3, height, width))
    coarse = random.randint(0, 256, (3, height // 16, width // 16))
    return np.stack([fine, coarse.repeat(16, axis=1).repeat(16, axis=2)]).astype(np.uint8)


def normalised(images: np.ndarray) -> np.ndarray:
    """Pictures as networks with ImageNet's mean and deviation take them, float64."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return (images / 255 - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)
