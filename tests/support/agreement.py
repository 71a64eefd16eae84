"""A captured network is right if its graph, in float64, gives what PyTorch gives."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mgn_convert.formats.pytorch.capture import Captured


def assert_agreement(
    network: nn.Module,
    captured: Captured,
    shape: tuple[int, ...],
    *,
    tolerance: float = 1e-12,
    low: float = -2.0,
    high: float = 2.0,
    all_outputs: bool = True,
) -> None:
    """The graph gives what the network gives, both in float64, for one image and for three."""
    images = np.random.default_rng(7).uniform(low, high, (3, *shape))
    for count in (1, 3):
        with torch.no_grad():
            result = network(torch.from_numpy(images[:count]))
        wanted = [t for t in torch.utils._pytree.tree_leaves(result) if isinstance(t, torch.Tensor)]
        got = captured.graph.run({captured.graph.inputs[0].name: images[:count]})
        if all_outputs:
            assert len(wanted) == len(captured.program.outputs)
        for array, tensor in zip(got.values(), wanted, strict=all_outputs):
            assert array.shape == tuple(tensor.shape)
            np.testing.assert_allclose(array, tensor.numpy(), rtol=tolerance, atol=tolerance)
