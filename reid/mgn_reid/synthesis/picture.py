"""One picture of one person: a moment before a camera."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from mgn_reid.synthesis.camera import Camera, scene
from mgn_reid.synthesis.canvas import Canvas, Pixels, Places
from mgn_reid.synthesis.figure import Figure, Pose
from mgn_reid.synthesis.person import Person

DRAWN_HEIGHT = 384  # pictures are drawn about this high, then made smaller
LUMA = np.array((0.299, 0.587, 0.114), np.float32)

person_of = lru_cache(maxsize=4096)(Person.of)
camera_of = lru_cache(maxsize=256)(Camera.of)


def photograph(
    seed: int, identity: int, camera: int, index: int, size: tuple[int, int], *, cut: bool = False
) -> tuple[Image.Image, int]:
    """The picture of `size` (height, width) that these numbers name, and the JPEG quality of its camera.

    cut: whether the box misses most of the person.
    """
    height, width = size
    finer = max(2, min(4, round(DRAWN_HEIGHT / height)))
    rng = np.random.default_rng([seed, 4, identity, camera, index])
    seen = camera_of(seed, camera)
    across, down = width * finer, height * finer
    canvas = Canvas(across, down)
    whole = down * rng.uniform(0.86, 0.97)
    feet = (across * (0.5 + rng.normal(0, 0.05)), down * rng.uniform(0.955, 0.995))
    if cut:
        whole *= rng.uniform(1.0, 2.2)
        feet = (
            feet[0] + across * rng.choice((-1, 1)) * rng.uniform(0.3, 0.7),
            feet[1] + down * rng.uniform(-0.5, 1),
        )
    _passer_by(rng, seed, canvas, feet, whole, seen, behind=True)
    turn = seen.turn + rng.normal(0, 0.5) + (math.pi if rng.random() < 0.3 else 0)
    pose = Pose.drawn(rng, feet, whole, turn, seen.squeeze)
    Figure(canvas, person_of(seed, identity), pose).draw()
    _passer_by(rng, seed, canvas, feet, whole, seen, behind=False)
    _obstacle(rng, canvas, across, down)
    drawn = canvas.over(_background(rng, seed, camera, across, down), _light(rng, across, down))
    picture = Image.fromarray(drawn).reduce(finer)
    return _exposed(rng, picture, seen), seen.quality


def _passer_by(
    rng: np.random.Generator,
    seed: int,
    canvas: Canvas,
    feet: tuple[float, float],
    whole: float,
    seen: Camera,
    behind: bool,
) -> None:
    """Somebody else, at times, farther away or half before the person."""
    if rng.random() > (0.15 if behind else 0.05):
        return
    side = rng.choice((-1, 1))
    stranger = Person.of(seed, int(rng.integers(1 << 40, 1 << 41)))
    scale = rng.uniform(0.6, 0.9) if behind else rng.uniform(0.95, 1.1)
    away = whole * rng.uniform(0.12, 0.3) if behind else whole * rng.uniform(0.2, 0.32)
    place = (feet[0] + side * away, feet[1] - whole * (0.1 if behind else -0.04))
    Figure(canvas, stranger, Pose.drawn(rng, place, whole * scale, rng.uniform(0, 7), seen.squeeze)).draw()


def _obstacle(rng: np.random.Generator, canvas: Canvas, across: int, down: int) -> None:
    """A pole or something low before the person, at times."""
    kind = rng.random()
    if kind > 0.12:
        return
    grey = int(rng.integers(40, 200))
    thing = canvas.material((grey, grey, min(255, grey + 10)))
    if kind < 0.04:
        x = across * rng.uniform(0.1, 0.9)
        canvas.shape([(x, 0), (x + across * 0.09, 0), (x + across * 0.09, down), (x, down)], thing)
    else:
        top, slope = down * rng.uniform(0.68, 0.9), down * rng.uniform(-0.06, 0.06)
        canvas.shape([(0, top), (across, top + slope), (across, down), (0, down)], thing)


def _background(rng: np.random.Generator, seed: int, camera: int, across: int, down: int) -> Pixels:
    whole = scene(seed, camera, across, down)
    y = int(rng.integers(whole.shape[0] - down + 1))
    x = int(rng.integers(whole.shape[1] - across + 1))
    return whole[y : y + down, x : x + across]


@lru_cache(maxsize=4)
def _folds(across: int, down: int) -> Places:
    """Soft random light and dark, as on cloth, twice the size of a picture."""
    coarse = np.random.default_rng(5).normal(0, 1, (40, 40)).astype(np.float32)
    fine = Image.fromarray(coarse).resize((2 * across, 2 * down), Image.Resampling.BICUBIC)
    return 1 + 0.055 * np.asarray(fine, np.float32)


def _light(rng: np.random.Generator, across: int, down: int) -> Places:
    """Factors for what is drawn: light from one side, folds."""
    folds = _folds(across, down)
    x, y = int(rng.integers(across)), int(rng.integers(down))
    sideways = 1 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, across, dtype=np.float32)
    return folds[y : y + down, x : x + across] * sideways


def _exposed(rng: np.random.Generator, picture: Image.Image, camera: Camera) -> Image.Image:
    """What the camera's lens and sensor make of it."""
    soft = picture.filter(
        ImageFilter.GaussianBlur(camera.blur * rng.uniform(0.6, 1.6) * picture.height / 128)
    )
    values = np.asarray(soft, np.float32) * np.float32(1 / 255)
    grey = (values @ LUMA)[..., None]
    values = grey + (values - grey) * np.float32(camera.saturation)
    gains = np.array(camera.gains, np.float32) * np.float32(rng.uniform(0.72, 1.25))
    values = np.clip(values * gains, 0, 1) ** np.float32(camera.gamma)
    noise = rng.standard_normal(values.shape, np.float32) * np.float32(camera.noise)
    return Image.fromarray(np.clip(values * 255 + noise + 0.5, 0, 255).astype(np.uint8))
