"""Layers of the Darknet engine that work cell by cell or normalise, against PyTorch in double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from engine_layers import LIMIT, Array, Run, check, keys, single, t

N, C, H, W = 3, 6, 11, 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def images(rng: np.random.Generator) -> Array:
    return single(rng, N, C, H, W)


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu6": F.relu6,
    "swish": F.silu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "exp": torch.exp,
    "abs": torch.abs,
    "leaky\nslope=.3": lambda x: F.leaky_relu(x, 0.3),
    "leaky\nslope=-2": lambda x: F.leaky_relu(x, -2),
    "elu\nalpha=2.5": lambda x: F.elu(x, 2.5),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(run: Run, images: Array, name: str) -> None:
    got = run(f"[activation]\nactivation={name}\n", 3 * images)
    check(got, ACTIVATIONS[name](t(3 * images)))


def test_logarithm(run: Run, images: Array) -> None:
    positive = np.abs(images)
    check(run("[activation]\nactivation=log\n", positive), np.log(positive))
    np.testing.assert_array_equal(run("[activation]\nactivation=log\n", np.zeros((N, 1, 1, 1))), -np.inf)


@pytest.mark.parametrize("name", ["swish", "gelu", "gelu_tanh", "softplus", "hardswish", "elu\nalpha=2.5"])
def test_activation_of_large_values(run: Run, name: str) -> None:
    large = np.array([-1e30, -200.0, 200.0, 1e4]).reshape(1, 4, 1, 1).repeat(N, 0)
    got = run(f"[activation]\nactivation={name}\n", large)
    np.testing.assert_allclose(got, ACTIVATIONS[name](t(large)), rtol=1e-6, atol=1e-30)


CELLWISE = [*(f"[activation]\nactivation={name}\n" for name in [*ACTIVATIONS, "log", "relu", "leaky", "elu"])]
CELLWISE += ["[clip]\nmin=-1\nmax=1\n", "[power]\npower=3\n", "[power]\npower=.5\n", "[prelu]\n", "[scale]\n"]
CELLWISE += [f"[activation]\n[{name}]\nfrom=0\n" for name in ("sum", "multiply", "divide", "maximum")]


@pytest.mark.parametrize("sections", CELLWISE)
def test_a_nan_stays(run: Run, sections: str) -> None:
    values = np.full((N, 1, 2, 2), 0.25)
    values[:, :, 0, 1] = np.nan
    weights = {"[prelu]\n": [0.5], "[scale]\n": [2, 1]}.get(sections, [])
    np.testing.assert_array_equal(np.isnan(run(sections, values, [weights])), np.isnan(values))


def test_activation_of_ours_in_layers_of_upstream(run: Run, images: Array, rng: np.random.Generator) -> None:
    biases, weights = single(rng, 5), single(rng, 5, C, 3, 3)
    cfg = "[convolutional]\nfilters=5\nsize=3\nstride=1\nactivation=leaky\nslope=.25\n"
    check(run(cfg, images, [biases, weights]), F.leaky_relu(F.conv2d(t(images), t(weights), t(biases)), 0.25))
    cfg = "[activation]\nactivation=logistic\n[activation]\nactivation=tanh\n"
    cfg += "[shortcut]\nfrom=0\nalpha=-2\nactivation=elu\n"  # alpha is the factor of tanh here
    inner = t(images).sigmoid()
    check(run(cfg, images), F.elu(-2 * inner.tanh() + inner))
    cfg = "[activation]\nactivation=linear\n[sum]\nfrom=0\nscale_from=-3\nactivation=swish\n"
    check(run(cfg, images), F.silu(-2 * t(images)))
    cfg = "[connected]\noutput=3\nactivation=hardswish\n"
    biases, weights = single(rng, 3), single(rng, 3, C * H * W) / 8
    want = F.hardswish(F.linear(t(images).flatten(1), t(weights).float().double(), t(biases)))
    check(run(cfg, images, [biases, weights]), want[..., None, None])


@pytest.mark.parametrize(("power", "scale", "shift"), [(1, -2, 0.5), (2, 1, -1), (3, 0.3, 0.1), (-1, 1, 9)])
def test_power(run: Run, images: Array, power: float, scale: float, shift: float) -> None:
    got = run("[power]\n" + keys(power=power, scale=scale, shift=shift), images)
    check(got, (shift + scale * images) ** power)


@pytest.mark.parametrize("power", [0.5, 2.7, -0.5, 1 / 3])
def test_broken_power_of_positive_values(run: Run, images: Array, power: float) -> None:
    values = (np.abs(images) + 0.01).astype(np.float32).astype(np.float64)
    check(run("[power]\n" + keys(power=power, shift=1e-6), values), (1e-6 + values) ** power)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.75), (None, 0.1), (1e-6, None)])
def test_clip(run: Run, images: Array, low: float | None, high: float | None) -> None:
    limits = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
    check(run("[clip]\n" + keys(**limits), images), np.clip(images, low, high))


def test_prelu(run: Run, images: Array, rng: np.random.Generator) -> None:
    for count, shared in ((C, 0), (1, 1)):
        slopes = single(rng, count)
        check(run("[prelu]\n" + keys(shared=shared), images, [slopes]), F.prelu(t(images), t(slopes)))


@pytest.mark.parametrize("kind", ["sum", "multiply", "divide", "maximum"])
@pytest.mark.parametrize(
    ("first", "second"),  # axes that are averaged away, of the layer `from` and of the layer before
    [("", ""), ("h,w", ""), ("", "c"), ("c", "h,w"), ("c,w", "h"), ("c,h,w", "w")],
)
def test_broadcasting(run: Run, images: Array, kind: str, first: str, second: str) -> None:
    away = [f"[reduce]\nkind=sum\naxes={a}\n" if a else "[clip]\nmin=-9\n" for a in (first, second)]
    sections = f"[clip]\nmin=-9\n{away[0]}[route]\nlayers=0\n{away[1]}[{kind}]\nfrom=1\n"
    axes = [tuple(" chw".index(a) for a in axes.split(",") if a) for axes in (first, second)]
    q, p = (images.sum(a, keepdims=True) if a else images for a in axes)
    if kind == "divide":
        with np.errstate(divide="raise"):
            want = p / q
        close = np.abs(q) > 0.05  # elsewhere the rounding of the divisor rules
        got = run(sections, images)
        assert got.shape == want.shape
        np.testing.assert_allclose(*(np.where(close, a, 0) for a in (got, want)), rtol=LIMIT, atol=LIMIT)
    else:
        operation = {"sum": np.add, "multiply": np.multiply, "maximum": np.maximum}[kind]
        check(run(sections, images), operation(p, q))


def test_sum_with_factors(run: Run, images: Array) -> None:
    sections = "[clip]\nmin=0\n[power]\nshift=1\n[sum]\nfrom=0\nscale=.3\nscale_from=-1\n"
    rectified = np.maximum(images, 0)
    check(run(sections, images), 0.3 * (rectified + 1) - rectified)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("c", (C, 1, 1)), ("h", (H, 1)), ("w", (W,)), ("c,h", (C, H, 1)), ("h,w", (H, W)), ("c,h,w", (C, H, W))],
)
@pytest.mark.parametrize(("weights", "biases"), [(1, 1), (0, 1), (1, 0)])
def test_scale(
    run: Run,
    images: Array,
    rng: np.random.Generator,
    axes: str,
    shape: tuple[int, ...],
    weights: int,
    biases: int,
) -> None:
    factor, term = single(rng, *shape), single(rng, *shape)
    stored = [*([factor] if weights else []), *([term] if biases else [])]
    got = run("[scale]\n" + keys(axes=axes, weights=weights, biases=biases), images, stored)
    check(got, images * (factor if weights else 1) + (term if biases else 0))


@pytest.mark.parametrize("offset", [0, 1000])
def test_instance_norm(run: Run, images: Array, rng: np.random.Generator, offset: int) -> None:
    values = (images + offset).astype(np.float32).astype(np.float64)
    scales, biases = single(rng, C), single(rng, C)
    want = F.instance_norm(t(values), None, None, t(scales), t(biases))
    check(run("[instancenorm]\n", values, [scales, biases]), want)
    check(run("[instancenorm]\naffine=0\neps=.03\n", values), F.instance_norm(t(values), eps=0.03))


@pytest.mark.parametrize("eps", [None, 1e-3])
@pytest.mark.parametrize("biases", [0, 1])
def test_batch_norm(
    run: Run, images: Array, rng: np.random.Generator, biases: int, eps: float | None
) -> None:
    scales, mean, variance = single(rng, C), single(rng, C), np.abs(single(rng, C)) + 0.01
    variance = variance.astype(np.float32).astype(np.float64)
    root = np.sqrt(variance) + 1e-6 if eps is None else np.sqrt(variance + eps)
    term = single(rng, C) if biases else np.zeros(C)
    scale, shift = scales / root, term - mean * scales / root
    cfg = keys(biases=biases) + (keys(eps=eps) if eps else "")
    got = run("[batchnorm]\n" + cfg, images, [*([term] if biases else []), scales, mean, variance])
    check(got, images * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1))
