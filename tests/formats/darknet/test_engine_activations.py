"""The activations of the Darknet engine against their formulas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mgn_convert.formats.darknet.engine import Network

Array = npt.NDArray[np.float64]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
    ),
    "hardtan": lambda x: np.clip(x, -1, 1),
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "ramp": lambda x: np.maximum(x, 0) + 0.1 * x,
    "loggy": lambda x: 2 / (1 + np.exp(-x)) - 1,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(tmp_path: Path, name: str) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(f"[net]\nchannels=3\nheight=7\nwidth=5\n[activation]\nactivation={name}\n")
    images = np.linspace(-9, 9, 2 * 3 * 7 * 5).reshape(2, 3, 7, 5).astype(np.float32)
    with Network(cfg, batch=2) as net:
        got = net(images)["0"]
    np.testing.assert_allclose(got, ACTIVATIONS[name](images.astype(np.float64)), atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["tanh", "elu", "selu"])
def test_large_values(tmp_path: Path, name: str) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(f"[net]\ninputs=4\n[activation]\nactivation={name}\n")
    large = np.array([-1e30, -400, 400, 1e4])
    with Network(cfg) as net:
        got = net(large.reshape(1, 4, 1, 1))["0"].ravel()
    np.testing.assert_allclose(got, ACTIVATIONS[name](large), rtol=1e-6)
