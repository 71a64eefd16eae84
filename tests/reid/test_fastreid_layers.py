"""The blocks of layers.py against the formulas that they stand for."""

import pytest
import torch
from torch import nn

from mgn_reid.models.layers import (
    POOLS,
    GeM,
    InstanceBatchNorm,
    NonLocal,
    SqueezeExcitation,
    global_pool,
)


@pytest.fixture
def maps():
    return torch.randn(3, 34, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def randomised(module):
    generator = torch.Generator().manual_seed(1)
    for name, tensor in module.double().eval().state_dict().items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.25)
    return module


def test_gem_is_a_mean_of_powers(maps):
    clamped = maps.clamp(min=1e-6)
    for p in (1.0, 2.5, 3.0):
        wanted = (clamped**p).flatten(2).mean(2) ** (1 / p)
        for learned in (True, False):
            torch.testing.assert_close(GeM(p, learned).double()(maps).flatten(1), wanted)


@pytest.mark.parametrize("kind", POOLS)
def test_a_global_pool_leaves_one_pixel(kind, maps):
    pool = global_pool(kind).double()
    assert pool(maps).shape == (3, 34, 1, 1)
    assert list(pool.state_dict()) == (["p"] if kind == "gemp" else [])


def test_ibn_takes_the_statistics_of_the_image_for_the_first_half(maps):
    maps = maps[:, :33]
    norm = randomised(InstanceBatchNorm(33))
    first, second = maps[:, :16], maps[:, 16:]
    mean, var = first.mean((2, 3), keepdim=True), first.var((2, 3), unbiased=False, keepdim=True)
    scale, shift = norm.IN.weight.view(-1, 1, 1), norm.IN.bias.view(-1, 1, 1)
    wanted = torch.cat(((first - mean) / (var + 1e-5).sqrt() * scale + shift, norm.BN(second)), dim=1)
    torch.testing.assert_close(norm(maps), wanted)


def test_squeeze_and_excitation_scales_channels(maps):
    block = randomised(SqueezeExcitation(34, ratio=5))
    assert {k: tuple(t.shape) for k, t in block.state_dict().items()} == {
        "fc.0.weight": (6, 34),
        "fc.2.weight": (34, 6),
    }
    hidden = (maps.mean((2, 3)) @ block.fc[0].weight.T).relu()
    gate = (hidden @ block.fc[2].weight.T).sigmoid()
    torch.testing.assert_close(block(maps), torch.einsum("nchw,nc->nchw", maps, gate))


def test_non_local_is_the_product_of_matrices(maps):
    block = randomised(NonLocal(34))
    theta, phi, g = (conv(maps).flatten(2) for conv in (block.theta, block.phi, block.g))
    mixed = theta.transpose(1, 2) @ phi / 15 @ g.transpose(1, 2)
    wanted = maps + block.W(mixed.transpose(1, 2).reshape(3, 1, 5, 3))
    torch.testing.assert_close(block(maps), wanted)


def test_a_new_non_local_block_changes_nothing(maps):
    block: nn.Module = NonLocal(34).double().eval()
    torch.testing.assert_close(block(maps), maps, rtol=0, atol=0)
