"""What the tests of single engine layers share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.float64]
Run = Callable[..., Array]

LIMIT = 2e-6  # a few roundings of 6e-8 each; sums are in double precision, or in blocks of 256 products


def t(array: npt.ArrayLike) -> torch.Tensor:
    return torch.as_tensor(np.asarray(array, np.float64))


def single(rng: np.random.Generator, *shape: int) -> Array:
    """Random values that float32 holds exactly."""
    return rng.standard_normal(shape).astype(np.float32).astype(np.float64)


def check(got: Array, want: npt.ArrayLike) -> None:
    wanted = np.asarray(want, np.float64)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() / max(1, np.abs(wanted).max()) <= LIMIT


def keys(**values: object) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())
