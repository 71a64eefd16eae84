"""Every layer kind of the Darknet engine against NumPy or PyTorch: odd sizes, H != W, batch 3."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from mgn_convert.formats.darknet.engine import Network

Array = npt.NDArray[np.float64]
Run = Callable[..., Array]

N, C, H, W = 3, 6, 11, 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def images(rng: np.random.Generator) -> Array:
    return rng.standard_normal((N, C, H, W)).astype(np.float32).astype(np.float64)


@pytest.fixture(params=[False, True], ids=["prepared", "plain"])
def plain(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def run(tmp_path: Path, plain: bool) -> Run:
    """run(sections, images, weights) writes a network, runs it and returns its output in float64."""

    def run(sections: str, images: Array, weights: Sequence[npt.ArrayLike] = ()) -> Array:
        _, c, h, w = images.shape
        cfg, file = tmp_path / "net.cfg", tmp_path / "net.weights"
        cfg.write_text(f"[net]\nchannels={c}\nheight={h}\nwidth={w}\n" + sections)
        body = b"".join(np.asarray(array, np.float32).tobytes() for array in weights)
        file.write_bytes(struct.pack("<iiiq", 0, 2, 0, 0) + body)
        with Network(cfg, file, batch=N, plain=plain) as net:
            return net(images)[net.layers[-1].key].astype(np.float64)

    return run


def t(array: npt.ArrayLike) -> torch.Tensor:
    return torch.as_tensor(np.asarray(array, np.float64))


def per_channel(values: Array) -> Array:
    return values.reshape(1, -1, 1, 1)


def normalized(x: Array, scales: Array, mean: Array, variance: Array, biases: Array) -> Array:
    """Batch norm as Darknet's processor code has it: epsilon outside the root."""
    inner = (x - per_channel(mean)) / (np.sqrt(per_channel(variance)) + 1e-6)
    return inner * per_channel(scales) + per_channel(biases)


def single(rng: np.random.Generator, *shape: int) -> Array:
    """Random values that float32 holds exactly."""
    return rng.standard_normal(shape).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    ("filters", "size", "stride", "padding", "groups"),
    [
        *(
            (5, 3, 1, 1, 1),
            (4, 3, 2, 0, 2),
            (6, 5, 2, 2, 6),
            (12, 3, 1, 1, 6),
            (9, 1, 1, 0, 3),
            (70, 3, 1, 1, 1),
        ),
        *((5, 1, 2, 0, 1), (5, 1, 1, 1, 1), (4, 1, 3, 2, 2), (2, 4, 3, 1, 1)),
    ],
)
def test_convolution(
    run: Run,
    images: Array,
    rng: np.random.Generator,
    filters: int,
    size: int,
    stride: int,
    padding: int,
    groups: int,
) -> None:
    biases, weights = single(rng, filters), single(rng, filters, C // groups, size, size)
    sections = f"[convolutional]\nfilters={filters}\nsize={size}\nstride={stride}\npadding={padding}\n"
    got = run(sections + f"groups={groups}\nactivation=linear\n", images, [biases, weights])
    want = F.conv2d(t(images), t(weights), t(biases), stride, padding, groups=groups).numpy()
    np.testing.assert_allclose(got, want, atol=1e-5, rtol=0)


def test_pad_means_half_the_size(run: Run, images: Array, rng: np.random.Generator) -> None:
    biases, weights = single(rng, 2), single(rng, 2, C, 5, 5)
    got = run("[conv]\nfilters=2\nsize=5\nstride=1\npad=1\nactivation=linear\n", images, [biases, weights])
    np.testing.assert_allclose(
        got, F.conv2d(t(images), t(weights), t(biases), 1, 2).numpy(), atol=5e-5, rtol=0
    )


def test_convolution_with_batch_norm_of_small_variances(
    run: Run, images: Array, rng: np.random.Generator
) -> None:
    biases, scales, mean = single(rng, 5), single(rng, 5), single(rng, 5)
    variance = np.array([1e-8, 1e-5, 1e-3, 0.5, 3.0], np.float32).astype(np.float64)
    weights = single(rng, 5, C, 3, 3)
    sections = "[convolutional]\nfilters=5\nsize=3\nstride=2\npadding=1\nactivation=relu\nbatch_normalize=1\n"
    got = run(sections, images, [biases, scales, mean, variance, weights])
    plain = F.conv2d(t(images), t(weights), None, 2, 1).numpy()
    want = np.maximum(normalized(plain, scales, mean, variance, biases), 0)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * np.abs(want).max())


def test_sums_over_many_channels_are_as_good_as_pytorch(
    run: Run, rng: np.random.Generator, plain: bool
) -> None:
    """The plain engine sums in blocks; oneDNN adds one by one, and is up to six times as far off."""
    for channels, size in ((512, 3), (2048, 1)):
        images, weights = single(rng, 2, channels, 9, 5), single(rng, 19, channels, size, size)
        sections = f"[convolutional]\nfilters=19\nsize={size}\nstride=1\npadding=0\nactivation=linear\n"
        got = run(sections, images, [np.zeros(19), weights])
        want = F.conv2d(t(images), t(weights))
        single_precision = F.conv2d(t(images).float(), t(weights).float()).double()
        theirs = float((single_precision - want).abs().max())
        limit = 2 * theirs + 1e-6 if plain else 2e-6 * float(want.abs().max())
        assert np.abs(got - want.numpy()).max() <= limit


@pytest.mark.parametrize("normalize", [0, 1])
def test_deconvolution(run: Run, images: Array, rng: np.random.Generator, normalize: int) -> None:
    biases, weights = single(rng, 4), single(rng, C, 4, 3, 3)
    scales, mean, variance = single(rng, 4), single(rng, 4), np.abs(single(rng, 4)) + 0.1
    sections = "[deconvolutional]\nfilters=4\nsize=3\nstride=2\npadding=1\nactivation=linear\n"
    sections += f"batch_normalize={normalize}\n"
    got = run(sections, images, [biases, *([scales, mean, variance] if normalize else []), weights])
    plain = F.conv_transpose2d(t(images), t(weights), None, 2, 1).numpy()
    want = normalized(plain, scales, mean, variance, biases) if normalize else plain + per_channel(biases)
    np.testing.assert_allclose(got, want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("normalize", [0, 1])
def test_connected(run: Run, images: Array, rng: np.random.Generator, normalize: int) -> None:
    biases, weights = single(rng, 13), single(rng, 13, C * H * W)
    scales, mean, variance = single(rng, 13), single(rng, 13), np.abs(single(rng, 13)) + 0.1
    sections = f"[connected]\noutput=13\nactivation=linear\nbatch_normalize={normalize}\n"
    got = run(sections, images, [biases, weights, *([scales, mean, variance] if normalize else [])])
    plain = (images.reshape(N, -1) @ weights.T).reshape(N, 13, 1, 1)
    want = normalized(plain, scales, mean, variance, biases) if normalize else plain + per_channel(biases)
    np.testing.assert_allclose(got, want, atol=2e-4, rtol=0)


def test_batchnorm_section(run: Run, images: Array, rng: np.random.Generator) -> None:
    scales, mean, variance = single(rng, C), single(rng, C), np.abs(single(rng, C)) + 0.1
    got = run("[batchnorm]\n", images, [scales, mean, variance])
    np.testing.assert_allclose(
        got, normalized(images, scales, mean, variance, np.zeros(C)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("keys", "size", "stride", "pads"),  # pads: left, right, top, bottom
    [
        ("size_h=3 size_w=2 stride_h=2 stride_w=1 padding=1", (3, 2), (2, 1), (1, 1, 1, 1)),
        ("size_h=11 size_w=7 stride_h=11 stride_w=7", (11, 7), (11, 7), (0, 0, 0, 0)),
        ("size_h=5 size_w=3 stride_h=3 stride_w=2 padding_h=2 padding_w=0", (5, 3), (3, 2), (0, 0, 2, 2)),
        (
            "size_h=3 size_w=3 stride_h=2 stride_w=2 padding_bottom=1 padding_right=2",
            (3, 3),
            (2, 2),
            (0, 2, 0, 1),
        ),
        ("size_h=4 size_w=1 padding=0", (4, 1), (1, 1), (0, 0, 0, 0)),
        ("size=3 stride=2 padding=2", (3, 3), (2, 2), (1, 1, 1, 1)),
        ("size=2 stride=2 padding=1", (2, 2), (2, 2), (0, 1, 0, 1)),
        ("size=2 stride=2", (2, 2), (2, 2), (0, 1, 0, 1)),
        ("size=3 stride=3 padding=0", (3, 3), (3, 3), (0, 0, 0, 0)),
    ],
)
def test_maxpool(
    run: Run, images: Array, keys: str, size: tuple[int, int], stride: tuple[int, int], pads: tuple[int, ...]
) -> None:
    negative = images - 9  # a padding cell of 0 would win
    got = run("[maxpool]\n" + keys.replace(" ", "\n"), negative)
    padded = F.pad(t(negative).float(), pads, value=-np.inf)
    np.testing.assert_array_equal(got, F.max_pool2d(padded, size, stride).double().numpy())


def test_maxpool_keeps_nan_and_minus_infinity(run: Run) -> None:
    images = np.full((1, 1, 2, 4), -np.inf)
    images[0, 0, 0, 3] = np.nan
    got = run("[maxpool]\nsize_h=2\nsize_w=2\nstride_h=2\nstride_w=2\n", images)
    np.testing.assert_array_equal(got.ravel(), [-np.inf, np.nan])


@pytest.mark.parametrize(
    "keys", ["", "size=11\nstride=1\n", "size_h=11\nsize_w=7\nstride_h=11\nstride_w=7\npadding=0\n"]
)
def test_avgpool(run: Run, images: Array, keys: str) -> None:
    square = images if "size_h" in keys or not keys else np.concatenate([images, images[..., :4]], 3)
    got = run("[avgpool]\n" + keys, square)
    np.testing.assert_allclose(got, square.mean((2, 3), keepdims=True), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("axis", "dimension"), [(0, 1), (3, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize(("begin", "end"), [(0, 2), (2, 5), (-4, -1), (1, None), (None, 3), (-1, None)])
def test_slice_by_begin_and_end(
    run: Run, images: Array, axis: int, dimension: int, begin: int | None, end: int | None
) -> None:
    keys = [f"slice_axis={axis}"]
    keys += [f"slice_begin={begin}"] if begin is not None else []
    keys += [f"slice_end={end}"] if end is not None else []
    index = [slice(None)] * 4
    index[dimension] = slice(begin, end)
    np.testing.assert_array_equal(run("[slice]\n" + "\n".join(keys), images), images[tuple(index)])


@pytest.mark.parametrize(
    ("axis", "dimension", "cuts"), [(2, 2, 2), (2, 2, 0), (1, 3, 4), (3, 1, 1), (0, 1, 5), (1, 3, 1)]
)
def test_slice_into_equal_parts(
    run: Run, rng: np.random.Generator, axis: int, dimension: int, cuts: int
) -> None:
    shape = [N, 6, 9, 10]
    images = single(rng, *shape)
    for part, want in enumerate(np.split(images, cuts + 1, dimension)):
        got = run(f"[slice]\nslice_axis={axis}\nslice_num={cuts}\nslice_pos={part}\n", images)
        np.testing.assert_array_equal(got, want)


def test_route_joins_channels(run: Run, images: Array) -> None:
    cut = "[slice]\nslice_axis=3\nslice_begin={}\nslice_end={}\n[route]\nlayers=0\n"
    sections = "[activation]\nactivation=linear\n" + cut.format(0, 2) + cut.format(4, 5)
    got = run(sections + "[route]\nlayers=-1, 1,-2\n", images)
    np.testing.assert_array_equal(got, np.concatenate([images, images[:, :2], images[:, 4:5]], 1))


def test_route_of_different_maps_is_a_flat_vector(run: Run, images: Array, rng: np.random.Generator) -> None:
    sections = "[activation]\nactivation=linear\n[avgpool]\n[route]\nlayers=0,1\n"
    flat = np.concatenate([images.reshape(N, -1), images.mean((2, 3))], 1)
    got = run(sections, images)
    assert got.shape == (N, flat.shape[1], 1, 1)
    np.testing.assert_allclose(got.reshape(N, -1), flat, atol=1e-6, rtol=0)
    biases, weights = single(rng, 4), single(rng, 4, flat.shape[1])
    got = run(sections + "[connected]\noutput=4\nactivation=linear\n", images, [biases, weights])
    np.testing.assert_allclose(got.reshape(N, -1), flat @ weights.T + biases, atol=2e-4, rtol=0)


def test_shortcut(run: Run, images: Array) -> None:
    sections = "[activation]\nactivation=relu\n[activation]\nactivation=tanh\n"
    got = run(sections + "[shortcut]\nfrom=0\nactivation=relu\nalpha=-2\nbeta=.5\n", images)
    first = np.maximum(images, 0)
    np.testing.assert_allclose(got, np.maximum(-2 * np.tanh(first) + 0.5 * first, 0), atol=1e-6, rtol=0)


def test_softmax(run: Run, images: Array) -> None:
    got = run("[softmax]\ngroups=3\ntemperature=2\n", images)
    want = F.softmax(t(images).reshape(N, 3, -1) / 2, 2).reshape(N, C, H, W).numpy()
    np.testing.assert_allclose(got, want, atol=1e-7, rtol=1e-5)


def test_upsample(run: Run, images: Array) -> None:
    got = run("[upsample]\nstride=3\nscale=2\n", images)
    np.testing.assert_array_equal(got, 2 * images.repeat(3, 2).repeat(3, 3))


def test_crop_without_adjustment(run: Run, images: Array) -> None:
    got = run("[crop]\ncrop_height=8\ncrop_width=4\nnoadjust=1\n", images)
    np.testing.assert_array_equal(got, images[:, :, 1:9, 1:5])


def test_reorg_moves_blocks_between_channels_and_map(run: Run, rng: np.random.Generator) -> None:
    images, s = single(rng, N, 8, 6, 4), 2
    got = run("[reorg]\nstride=2\nreverse=1\n", images)
    want = images.reshape(N, s, s, 2, 6, 4).transpose(0, 3, 4, 1, 5, 2).reshape(N, 2, 12, 8)
    np.testing.assert_array_equal(got, want)
    # Without reverse, upstream reads its input as if it were the larger map.
    got = run("[reorg]\nstride=2\n", images)
    larger = images.reshape(N, 2, 6, s, 4, s)
    np.testing.assert_array_equal(got, larger.transpose(0, 3, 5, 1, 2, 4).reshape(N, 32, 3, 2))


def test_l2norm(run: Run, images: Array) -> None:
    want = images / np.linalg.norm(images, axis=1, keepdims=True)
    np.testing.assert_allclose(run("[l2norm]\n", images), want, atol=1e-6, rtol=0)


def test_dropout_passes_through(run: Run, images: Array) -> None:
    got = run("[activation]\nactivation=relu\n[dropout]\nprobability=.9\n", images)
    np.testing.assert_array_equal(got, np.maximum(images, 0))
