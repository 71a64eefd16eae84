"""The deterministic weights and pictures under which the golden embeddings were computed."""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

GOLDEN = Path(__file__).parents[1] / "golden" / "seed"

_FIXED = {
    "num_batches_tracked": np.int64(0),
    "p": np.float64(3.2),
    "gamma1": np.float64(0.5),
    "gamma2": np.float64(0.5),
    "gamma3": np.float64(0.5),
    "pixel_mean": np.float32([123.675, 116.28, 103.53]).astype(np.float64),
    "pixel_std": np.float32([58.395, 57.12, 57.375]).astype(np.float64),
}
"""Leaf of a key -> its numbers, where they are not drawn. Networks keep those of pixels in float32."""


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
    if leaf in _FIXED:
        numbers = _FIXED[leaf]
        return np.broadcast_to(numbers.reshape(-1, 1, 1) if numbers.ndim else numbers, shape).copy()
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


def assert_golden(network: nn.Module, name: str, images: np.ndarray) -> None:
    """The seeded network's embeddings of `images`, of their mirror images and of both are the recorded ones.

    images: as the network takes them. The tolerance is relative: float64 sums in another order.
    """
    golden = np.load(GOLDEN / f"{name}.npz")
    found = {}
    with torch.no_grad():
        for key, pictures in (("raw", images), ("raw_flip", images[:, :, :, ::-1].copy())):
            result = network(torch.from_numpy(pictures))
            found[key] = (result if isinstance(result, torch.Tensor) else result[0]).numpy()
    total = found["raw"] + found["raw_flip"]
    found["embedding"] = total / np.linalg.norm(total, axis=1, keepdims=True)
    for key, array in found.items():
        np.testing.assert_allclose(array, golden[key], rtol=1e-9, atol=1e-9 * abs(golden[key]).max())
