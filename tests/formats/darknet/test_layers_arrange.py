"""Layers of the Darknet engine that arrange, reduce, select or multiply, against NumPy and PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch.nn.functional as F  # noqa: N812
from engine_layers import Array, Run, check, keys, single, t

from mgn_convert.errors import UsageError
from mgn_convert.formats.darknet.engine import Network
from mgn_convert.graph.ops import op_spec

N, C, H, W = 3, 6, 11, 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def images(rng: np.random.Generator) -> Array:
    return single(rng, N, C, H, W)


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"c": -1}, (C * H * W, 1, 1)),
        ({"c": 1, "h": 6, "w": -1}, (1, 6, 77)),
        ({"c": 11, "h": -1, "w": 3}, (11, 14, 3)),
        ({"c": 7, "h": 22, "w": 3}, (7, 22, 3)),
    ],
)
def test_reshape(run: Run, images: Array, fields: dict[str, int], shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(run("[reshape]\n" + keys(**fields), images), images.reshape(N, *shape))


@pytest.mark.parametrize("order", ["c,h,w", "c,w,h", "h,c,w", "h,w,c", "w,c,h", "w,h,c"])
def test_permute(run: Run, images: Array, order: str) -> None:
    axes = (0, *(" chw".index(axis) for axis in order.split(",")))
    np.testing.assert_array_equal(run(f"[permute]\norder={order}\n", images), images.transpose(axes))


@pytest.mark.parametrize(("axis", "number", "of_slice"), [("c", 1, 3), ("h", 2, 2), ("w", 3, 1)])
def test_concat(run: Run, images: Array, axis: str, number: int, of_slice: int) -> None:
    part = f"[slice]\nslice_axis={of_slice}\nslice_begin={{}}\nslice_end={{}}\n[route]\nlayers=0\n"
    sections = "[clip]\nmin=0\n" + part.format(0, 2) + part.format(3, -1)
    got = run(sections + f"[concat]\naxis={axis}\nlayers=0, -4,3\n", images)
    x = np.maximum(images, 0)
    cells = np.arange(images.shape[number])
    want = np.concatenate([x, x.take(cells[:2], number), x.take(cells[3:-1], number)], number)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("axes", ["c", "h", "w", "c,h", "w,h", "c,w", "c,h,w"])
@pytest.mark.parametrize("kind", ["mean", "sum", "max", "asum", "sumsq"])
def test_reduce(run: Run, images: Array, kind: str, axes: str) -> None:
    numbers = tuple(" chw".index(axis) for axis in axes.split(","))
    attrs = {"kind": kind, "axes": numbers, "keepdims": True}
    spec = op_spec("reduce")
    check(run(f"[reduce]\nkind={kind}\naxes={axes}\n", images), spec.evaluate([images], attrs, {}))


def test_the_maximum_of_nan_and_minus_infinity(run: Run) -> None:
    values = np.full((N, 2, 1, 3), -np.inf)
    values[:, 1, 0, 1] = np.nan
    got = run("[reduce]\nkind=max\naxes=w\n", values)
    np.testing.assert_array_equal(got[0].ravel(), [-np.inf, np.nan])


@pytest.mark.parametrize(("axis", "number"), [("c", 1), ("h", 2), ("w", 3)])
@pytest.mark.parametrize("temperature", [1, 2.5])
def test_softmax(run: Run, images: Array, axis: str, number: int, temperature: float) -> None:
    large = 40 * images.astype(np.float64) + 500  # exp(500) is beyond float32
    large = large.astype(np.float32).astype(np.float64)
    got = run("[softmax]\n" + keys(axis=axis, temperature=temperature), large)
    check(got, F.softmax(t(large) / temperature, number))


def test_softmax_over_channels(run: Run, images: Array) -> None:
    check(run("[softmax]\nspatial=1\n", images), F.softmax(t(images), 1))
    got = run("[softmax]\naxis=c\ngroups=2\n", images)
    check(got, F.softmax(t(images).reshape(N, 2, 3, H, W), 2).reshape(N, C, H, W))


@pytest.mark.parametrize(("axis", "number"), [("h", 2), ("w", 3)])
def test_softmax_of_long_rows(run: Run, rng: np.random.Generator, axis: str, number: int) -> None:
    """Rows are taken in parts: of all sizes down to 0, with -inf, all equal, and with a NaN anywhere."""
    rows = single(rng, N, 5, 200, 1)
    rows[:, 0] *= np.linspace(0, 200, 200)[:, None]
    rows[:, 1, ::7] = -np.inf
    rows[:, 2] = 3
    rows[:, 3, 150] = np.nan
    rows[:, 4, 199] = np.nan
    got = run(f"[softmax]\naxis={axis}\n", rows.reshape(N, 5, *((200, 1) if axis == "h" else (1, 200))))
    check(got[:, :3], F.softmax(t(rows[:, :3].reshape(got[:, :3].shape)), number))
    assert np.isnan(got[:, 3:]).all()


@pytest.mark.parametrize(("left", "right"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("shared", ["", "before", "from"])
def test_matmul(run: Run, images: Array, left: int, right: int, shared: str) -> None:
    """C matrices of 11 x 7 by as many of 7 x 11, either side stored transposed, or one for all channels."""
    mean = "[reduce]\nkind=max\naxes=c\n"
    p, q = images, 0.5 - images.swapaxes(2, 3)
    p, q = (p.max(1, keepdims=True), q) if shared == "before" else (p, q)
    q = q.max(1, keepdims=True) if shared == "from" else q
    sections = "[clip]\nmin=-99\n[permute]\norder=c,w,h\n[power]\nscale=-1\nshift=.5\n"
    sections += "[permute]\norder=c,w,h\n" if right else "[clip]\nmin=-99\n"
    sections += mean if shared == "from" else "[clip]\nmin=-99\n"
    sections += "[route]\nlayers=0\n" + ("[permute]\norder=c,w,h\n" if left else "")
    sections += mean if shared == "before" else ""
    got = run(sections + "[matmul]\nfrom=4\n" + keys(transpose=left, transpose_from=right), images)
    check(got, p @ q)


def test_topk(run: Run, images: Array) -> None:
    tied = np.round(images)
    tied[:, 4] = tied[:, 1]
    sections = "[clip]\nmin=-9\n[reduce]\nkind=sum\naxes=h,w\n[route]\nlayers=0\n[topk]\nk=4\nfrom=1\n"
    order = np.argsort(-tied.sum((2, 3)), axis=1, kind="stable")[:, :4]
    want = np.take_along_axis(tied, order[..., None, None], 1)
    np.testing.assert_array_equal(run(sections, tied), want)


def test_margins_of_topk(tmp_path: Path, images: Array) -> None:
    cfg = tmp_path / "net.cfg"
    head = f"[net]\nchannels={C}\nheight={H}\nwidth={W}\n[clip]\nmin=-9\n[reduce]\nkind=sum\naxes=h,w\n"
    best = "[route]\nlayers=0\n[topk]\nk=2\nfrom=1\nname=best\n"
    cfg.write_text(head + best + "[route]\nlayers=0\n[topk]\nk=6\nfrom=1\n")
    with Network(cfg, batch=N) as net:
        for count in (3, 1):
            net(images[:count])
            scores = np.sort(images[:count].sum((2, 3)), axis=1)
            np.testing.assert_allclose(net.margins("best"), scores[:, -2] - scores[:, -3], atol=1e-5)
            np.testing.assert_array_equal(net.margins(5), np.full(count, np.inf))
        with pytest.raises(UsageError, match="cannot run this network") as caught:
            net.margins(0)
        assert caught.value.because == "layer 0 is no [topk]"
