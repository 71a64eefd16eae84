"""What a camera sees: its scene, its colours, and from where it looks at people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from mgn_reid.synthesis.canvas import Pixels

Colours = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """turn: how people mostly walk past, in radians (see figure). squeeze: what its height leaves of legs.

    gains (RGB), gamma, saturation: its colours. blur: in pixels of a picture 128 high. noise: in 8-bit steps.
    """

    turn: float
    squeeze: float
    gains: tuple[float, float, float]
    gamma: float
    saturation: float
    blur: float
    noise: float
    quality: int

    @classmethod
    def of(cls, seed: int, number: int) -> Camera:
        """The camera `number` (1 or more) in the world of `seed`."""
        rng = np.random.default_rng([seed, 2, number])
        warmth, tint = rng.uniform(-0.13, 0.13), rng.uniform(-0.06, 0.06)
        return cls(
            turn=(number % 4) * math.pi / 2 + rng.uniform(-0.6, 0.6),
            squeeze=rng.uniform(0.78, 1.0),
            gains=(1 + warmth, 1 + tint, 1 - warmth),
            gamma=rng.uniform(0.75, 1.35),
            saturation=rng.uniform(0.6, 1.15),
            blur=rng.uniform(0.2, 0.9),
            noise=rng.uniform(2, 8),
            quality=int(rng.integers(60, 93)),
        )


@lru_cache(maxsize=64)
def scene(seed: int, number: int, width: int, height: int) -> Pixels:
    """What lies behind people, uint8 (1.5 * height, 4 * width, 3); each picture shows a part of it."""
    rng = np.random.default_rng([seed, 3, number])
    across, down = 4 * width, height * 3 // 2
    horizon = int(down * rng.uniform(0.3, 0.6))
    wall, ground = rng.uniform(70, 215, 3), rng.uniform(80, 190) + rng.uniform(-14, 14, 3)
    wall = wall.mean() + (wall - wall.mean()) * 0.3
    rows = np.linspace(1.08, 0.85, down)[:, None, None]
    colours = np.where(np.arange(down)[:, None, None] < horizon, wall, ground) * rows
    image = Image.fromarray(np.broadcast_to(colours, (down, across, 3)).clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    plain = image.crop((0, 0, across, horizon))
    _ground(pen, rng, across, down, horizon, ground)
    image.paste(plain, (0, 0))
    for _ in range(int(rng.integers(5, 10))):
        _thing(pen, rng, across, down, horizon, wall)
    soft = image.filter(ImageFilter.GaussianBlur(height / 130))
    grain = rng.normal(0, 5, (down, across, 1))
    return np.clip(np.asarray(soft, np.float32) + grain, 0, 255).astype(np.uint8)


def _ground(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, across: int, down: int, horizon: int, ground: Colours
) -> None:
    """Paving, stripes or nothing; what is drawn above the horizon does not stay."""
    line = _colour(ground * rng.choice((0.8, 1.2)))
    kind = rng.integers(3)
    vanishing = across * rng.uniform(0.2, 0.8)
    if kind == 0:
        return
    for step in range(1, 12):
        y = horizon + (down - horizon) * (step / 12) ** 2
        if kind == 1 or step % 4 == 0:
            pen.line([(0, y), (across, y)], fill=line, width=1 + step // 4)
    for x in np.linspace(-2 * across, 3 * across, 26 if kind == 1 else 7):
        pen.line([(vanishing, horizon - down * 0.1), (x, down)], fill=line, width=2)


def _thing(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, across: int, down: int, horizon: int, wall: Colours
) -> None:
    """A window, a door, a pole, a tree or a parked car, somewhere."""
    x, size = rng.uniform(0, across), down * rng.uniform(0.1, 0.3)
    colour = _colour(np.asarray(wall) * rng.uniform(0.35, 1.25) + rng.uniform(-25, 25, 3))
    kind = rng.integers(5)
    if kind == 0:
        for i in range(4):
            left = x + i * size * 0.9
            pen.rectangle([left, horizon - 2 * size, left + size * 0.6, horizon - size], fill=colour)
    elif kind == 1:
        pen.rectangle([x, horizon - size * 2, x + size, horizon + size * 0.1], fill=colour)
    elif kind == 2:
        pen.rectangle([x, 0, x + size * 0.15, horizon + size * 0.8], fill=colour)
    elif kind == 3:
        leaf = rng.uniform(30, 70), rng.uniform(70, 120), rng.uniform(25, 60)
        pen.rectangle(
            [x - size * 0.1, horizon - size, x + size * 0.1, horizon + size * 0.3], fill=(84, 66, 50)
        )
        for dx, dy in rng.uniform(-0.8, 0.8, (6, 2)):
            cx, cy, r = x + dx * size, horizon - size * 1.6 + dy * size, size * 0.55
            pen.ellipse([cx - r, cy - r, cx + r, cy + r], fill=_colour(leaf))
    else:
        paint = rng.uniform(30, 220, 3)
        body = _colour(paint.mean() + (paint - paint.mean()) * 0.6)
        pen.rectangle([x, horizon - size * 0.2, x + size * 3, horizon + size * 0.5], fill=body)
        pen.polygon(
            [
                (x + size * 0.5, horizon - size * 0.2),
                (x + size, horizon - size * 0.7),
                (x + size * 2, horizon - size * 0.7),
                (x + size * 2.5, horizon - size * 0.2),
            ],
            fill=_colour(np.array((90, 100, 112))),
        )
        for wheel in (0.6, 2.4):
            cx, cy, r = x + wheel * size, horizon + size * 0.45, size * 0.22
            pen.ellipse([cx - r, cy - r, cx + r, cy + r], fill=(28, 28, 30))


def _colour(values: object) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.asarray(values, np.float64), 0, 255).astype(int)
    return int(red), int(green), int(blue)
