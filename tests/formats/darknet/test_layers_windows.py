"""Pools and filters of the Darknet engine with windows of their own on each axis, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F  # noqa: N812
from engine_layers import Array, Run, check, keys, single, t

from mgn_convert.graph.ops import op_spec

N, C, H, W = 3, 6, 11, 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def images(rng: np.random.Generator) -> Array:
    return single(rng, N, C, H, W)


@pytest.mark.parametrize(
    ("fields", "pads"),  # pads: left, right, top, bottom
    [
        ({"size_h": 3, "size_w": 2, "stride_h": 2, "padding_top": 1, "padding_left": 1}, (1, 0, 1, 0)),
        ({"size_h": 4, "size_w": 3, "stride_w": 2, "padding": 1, "padding_top": 2}, (1, 1, 2, 1)),
        ({"size_h": 3, "size_w": 3, "padding_h": 2, "padding_bottom": 0, "padding_right": 1}, (0, 1, 2, 0)),
    ],
)
def test_maxpool_with_padding_per_end(
    run: Run, images: Array, fields: dict[str, int], pads: tuple[int, ...]
) -> None:
    padded = F.pad(t(images - 9), pads, value=-np.inf)
    size = (fields["size_h"], fields["size_w"])
    stride = (fields.get("stride_h", 1), fields.get("stride_w", 1))
    got = run("[maxpool]\n" + keys(**fields), (images - 9).astype(np.float32).astype(np.float64))
    np.testing.assert_array_equal(got, F.max_pool2d(padded, size, stride).float().double().numpy())


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [((2, 2), (2, 2), (0, 0)), ((3, 2), (3, 3), (0, 0)), ((4, 2), (4, 2), (2, 1))],
)
def test_unpool(
    run: Run, images: Array, size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    ties = np.round(images)  # equal maxima: the first in the window counts
    pool = keys(size_h=size[0], size_w=size[1], stride_h=stride[0], stride_w=stride[1])
    pool = "[maxpool]\n" + pool + keys(padding_h=padding[0], padding_w=padding[1])
    pooled, places = F.max_pool2d(t(ties), size, stride, padding, return_indices=True)
    values = 0.5 - 2 * pooled
    want = F.max_unpool2d(values, places, size, stride, padding, output_size=(H, W))
    np.testing.assert_array_equal(run(pool + "[power]\nscale=-2\nshift=.5\n[unpool]\nfrom=0\n", ties), want)
    first = "[activation]\nactivation=relu\n" + pool + "[unpool]\nfrom=1\n"
    pooled, places = F.max_pool2d(t(ties).relu(), size, stride, padding, return_indices=True)
    want = F.max_unpool2d(pooled, places, size, stride, padding, output_size=(H, W))
    np.testing.assert_array_equal(run(first, ties), want)


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("divisor", [None, 5])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "overhang"),
    [
        ((3, 2), (2, 1), (0, 0, 0, 0), (0, 0)),
        ((4, 3), (2, 2), (1, 1, 1, 1), (0, 0)),
        ((3, 5), (3, 2), (2, 0, 1, 4), (0, 0)),
        ((5, 4), (5, 3), (1, 1, 1, 1), (2, 1)),
        ((2, 3), (2, 3), (0, 0, 0, 0), (1, 2)),
    ],
)
def test_avgpool(
    run: Run,
    images: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    overhang: tuple[int, int],
    divisor: int | None,
    include: int,
) -> None:
    attrs = {"kernel": kernel, "stride": stride, "padding": padding, "overhang": overhang}
    attrs |= {"count_include_pad": bool(include), "divisor": divisor}
    spec = op_spec("avg_pool")
    want = spec.evaluate([images], spec.complete(attrs, {}, 1), {})
    top, left, bottom, right = padding
    cfg = keys(size_h=kernel[0], size_w=kernel[1], stride_h=stride[0], stride_w=stride[1], padding_top=top)
    cfg += keys(padding_left=left, padding_bottom=bottom, padding_right=right, count_include_pad=include)
    cfg += keys(overhang_h=overhang[0], overhang_w=overhang[1]) + (keys(divisor=divisor) if divisor else "")
    check(run("[avgpool]\n" + cfg, images), want)


def test_square_avgpool_like_pytorch(run: Run, images: Array) -> None:
    want = F.avg_pool2d(t(images), 3, 2, 1, ceil_mode=True, count_include_pad=True)
    check(run("[avgpool]\nsize=3\nstride=2\npadding=1\n", images), want)
    want = F.avg_pool2d(t(images), 4, 1, count_include_pad=False)
    check(run("[avgpool]\nsize=4\n", images), want)


FILTERS = [  # filters, groups, size, stride, padding, dilation
    (5, 1, (1, 3), (1, 1), (0, 1), (1, 1)),
    (4, 2, (5, 1), (2, 1), (2, 0), (1, 1)),
    (12, 6, (3, 2), (2, 3), (1, 1), (2, 1)),
    (70, 1, (3, 3), (1, 1), (2, 2), (2, 2)),
    (3, 3, (2, 3), (3, 2), (3, 0), (4, 2)),
    (9, 3, (1, 1), (1, 1), (0, 0), (1, 1)),
    (2, 1, (1, 1), (2, 3), (1, 2), (1, 1)),
]


def filter_keys(case: tuple[object, ...]) -> str:
    filters, groups, *pairs = case
    text = keys(filters=filters, groups=groups)
    for name, (y, x) in zip(("size", "stride", "padding", "dilation"), pairs, strict=True):
        text += keys(**{f"{name}_h": y, f"{name}_w": x})
    return text


@pytest.mark.parametrize("case", FILTERS)
def test_convolution(run: Run, images: Array, rng: np.random.Generator, case: tuple[object, ...]) -> None:
    filters, groups, size, stride, padding, dilation = case
    biases, weights = single(rng, filters), single(rng, filters, C // groups, *size)
    got = run("[convolutional]\nactivation=linear\n" + filter_keys(case), images, [biases, weights])
    check(got, F.conv2d(t(images), t(weights), t(biases), stride, padding, dilation, groups))


def test_convolution_with_both_axes_in_one_key(run: Run, images: Array, rng: np.random.Generator) -> None:
    biases, weights = single(rng, 5), single(rng, 5, C, 3, 3)
    cfg = keys(filters=5, size=3, stride=2, padding=1, stride_w=1, dilation=2, activation="relu")
    want = F.conv2d(t(images), t(weights), t(biases), (2, 1), 1, 2).relu()
    check(run("[conv]\n" + cfg, images, [biases, weights]), want)
    want = F.conv2d(t(images), t(weights), t(biases), 1, 1, 2).sigmoid()  # pad: half the size; no activation
    check(run("[conv]\n" + keys(filters=5, size=3, pad=1, dilation=2), images, [biases, weights]), want)


@pytest.mark.parametrize("section", ["convolutional", "deconvolutional"])
def test_filters_with_batch_norm(run: Run, images: Array, rng: np.random.Generator, section: str) -> None:
    biases, scales, mean, variance = single(rng, 4), single(rng, 4), single(rng, 4), single(rng, 4) ** 2 + 0.1
    variance = variance.astype(np.float32).astype(np.float64)
    weights = single(rng, *((4, C, 3, 2) if section == "convolutional" else (C, 4, 3, 2))) / 4
    weights = weights.astype(np.float32).astype(np.float64)
    cfg = keys(filters=4, size_h=3, size_w=2, batch_normalize=1, activation="leaky")
    got = run(f"[{section}]\n" + cfg, images, [biases, scales, mean, variance, weights])
    plain = (F.conv2d if section == "convolutional" else F.conv_transpose2d)(t(images), t(weights))
    inner = (plain - t(mean)[:, None, None]) / (t(variance).sqrt() + 1e-6)[:, None, None]
    check(got, F.leaky_relu(inner * t(scales)[:, None, None] + t(biases)[:, None, None], 0.1))


@pytest.mark.parametrize("extra", [(0, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("case", FILTERS[:6])
def test_deconvolution(
    run: Run, images: Array, rng: np.random.Generator, case: tuple[object, ...], extra: tuple[int, int]
) -> None:
    filters, groups, size, stride, padding, dilation = case
    extra = tuple(e if max(s, d) > 1 else 0 for e, s, d in zip(extra, stride, dilation, strict=True))
    biases, weights = single(rng, filters), single(rng, C, filters // groups, *size)
    cfg = filter_keys(case) + keys(output_padding_h=extra[0], output_padding_w=extra[1], activation="linear")
    got = run("[deconvolutional]\n" + cfg, images, [biases, weights])
    check(got, F.conv_transpose2d(t(images), t(weights), t(biases), stride, padding, extra, groups, dilation))


def test_grouped_square_deconvolution(run: Run, images: Array, rng: np.random.Generator) -> None:
    biases, weights = single(rng, 4), single(rng, C, 2, 3, 3)
    cfg = keys(filters=4, groups=2, size=3, stride=2, padding=1, output_padding=1, activation="linear")
    want = F.conv_transpose2d(t(images), t(weights), t(biases), 2, 1, 1, 2)
    check(run("[deconv]\n" + cfg, images, [biases, weights]), want)
