"""Parts of re-ID networks in sections of the Darknet engine, against the same in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from engine_layers import Array, Run, check, keys, single, t

N, C, H, W = 3, 6, 12, 9


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def images(rng: np.random.Generator) -> Array:
    return single(rng, N, C, H, W)


def test_attention_over_channels(run: Run, rng: np.random.Generator) -> None:
    """softmax(A B^T) x over channels, gated and added, as in MuDeep's leader."""
    images, weights = single(rng, N, 5, 9, 4), single(rng, 2, 33, 5) / 4
    weights = weights.astype(np.float32).astype(np.float64)
    conv = "[convolutional]\nfilters=33\nsize=1\nstride=1\nactivation=linear\n"
    sections = "[clip]\nmin=-99\n" + conv + "[reshape]\nh=33\nw=-1\n[route]\nlayers=0\n" + conv
    sections += "[reshape]\nh=33\nw=-1\n[matmul]\nfrom=2\ntranspose_from=1\n[softmax]\naxis=w\n"
    sections += "[matmul]\nfrom=2\n[reshape]\nc=33\nh=9\nw=4\n[scale]\nbiases=0\n[sum]\nfrom=1\n"
    gamma = single(rng, 33)
    zeros = np.zeros(33)
    got = run(sections, images, [zeros, weights[0], zeros, weights[1], gamma])
    a, b = (np.einsum("oc,nchw->nohw", w, images).reshape(N, 33, -1) for w in weights)
    attended = F.softmax(t(b) @ t(a).transpose(1, 2), 2) @ t(a)
    check(got, t(gamma)[:, None, None] * attended.reshape(N, 33, 9, 4) + t(a).reshape(N, 33, 9, 4))


class Weights:
    """Draws the weights of one layer after the other, as the file holds them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.file: list[Array] = []

    def draw(self, *shape: int) -> torch.Tensor:
        """Values of a size that keeps sums near 1."""
        size = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.5
        self.file.append((size * self.rng.standard_normal(shape)).astype(np.float32))
        return t(self.file[-1])


def conv(w: Weights, x: torch.Tensor, filters: int, size: int) -> torch.Tensor:
    biases = w.draw(filters)
    return F.conv2d(x, w.draw(filters, x.shape[1], size, size), biases)


def deconv(w: Weights, x: torch.Tensor, filters: int) -> torch.Tensor:
    biases = w.draw(filters)
    return F.conv_transpose2d(x, w.draw(x.shape[1], filters, 3, 3), biases).relu()


def test_spatial_and_channel_attention(run: Run, images: Array, rng: np.random.Generator) -> None:
    """x + x * relu(y + z), y per channel and z per cell, the latter through a pool and its reverse."""
    names = {"conv": "activation=linear\nstride=1\n", "deconv": "activation=relu\nsize=3\ngroups=1\n"}
    layers = [
        *(
            ("avgpool", ""),
            ("conv", "filters=2\nactivation=relu\n"),
            ("conv", "filters=6\nactivation=logistic\n"),
        ),
        *(("route", "layers=0\n"), ("conv", "filters=3\n"), ("conv", "filters=5\nsize=3\nactivation=relu\n")),
        ("maxpool", "size_h=2\nsize_w=2\nstride_h=2\nstride_w=2\n"),
        *(
            ("conv", "filters=4\nsize=3\nactivation=relu\n"),
            ("deconv", "filters=5\n"),
            ("unpool", "from=7\n"),
        ),
        *(("deconv", "filters=2\n"), ("conv", "filters=1\n"), ("sum", "from=3\nactivation=relu\n")),
        *(("multiply", "from=0\n"), ("sum", "from=0\n")),
    ]
    cfg = "[clip]\nmin=-99\n"
    for kind, text in layers:
        defaults = [line for line in names.get(kind, "").split() if line.split("=")[0] + "=" not in text]
        cfg += f"[{kind}]\n" + text + "".join(line + "\n" for line in defaults)
    x, w = t(images), Weights(rng)
    y = conv(w, conv(w, x.mean((2, 3), keepdim=True), 2, 1).relu(), 6, 1).sigmoid()
    z = conv(w, conv(w, x, 3, 1), 5, 3).relu()
    pooled, places = F.max_pool2d(z, 2, return_indices=True)
    back = deconv(w, conv(w, pooled, 4, 3).relu(), 5)
    z = conv(w, deconv(w, F.max_unpool2d(back, places, 2, output_size=z.shape[2:]), 2), 1, 1)
    check(run(cfg, images, w.file), x + x * (y + z).relu())


def test_generalized_mean(run: Run, images: Array) -> None:
    cfg = "[clip]\nmin=1e-6\n[power]\npower=2.8\n[avgpool]\n[power]\n" + keys(power=1 / 2.8)
    check(run(cfg, images), t(images).clamp(1e-6).pow(2.8).mean((2, 3), keepdim=True).pow(1 / 2.8))


def test_the_best_channels_added_to_the_map(run: Run, images: Array, rng: np.random.Generator) -> None:
    """The maximum over positions of F + A for the k strongest attention maps A, joined along the height."""
    w = Weights(rng)
    attention = conv(w, t(images), 5, 1).relu()
    best = attention.sum((2, 3)).topk(3).indices
    kept = torch.take_along_dim(attention, best[..., None, None], 1)
    want = (t(images)[:, :, None] + kept[:, None]).amax((3, 4))[..., None]
    cfg = "[clip]\nmin=-99\n[conv]\nfilters=5\nstride=1\nactivation=relu\n[reduce]\nkind=sum\naxes=h,w\n"
    cfg += "[route]\nlayers=1\n[topk]\nk=3\nfrom=2\n"
    for i in range(3):
        cfg += f"[route]\nlayers=4\n[slice]\nslice_axis=3\nslice_begin={i}\nslice_end={i + 1}\n"
        cfg += "[sum]\nfrom=0\n[reduce]\nkind=max\naxes=h,w\n"
    check(run(cfg + "[concat]\naxis=h\nlayers=8,12,16\n", images, w.file), want)
