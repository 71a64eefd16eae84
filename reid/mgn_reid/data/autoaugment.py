"""Auto-augmentation with the policy for ImageNet.

Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data" (CVPR 2019), table 9: of 25 pairs one
is drawn, and each of its two operations is applied with its own probability and strength of 0..9. The ranges
of the strengths are those of table 6.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mgn_convert.graph.types import Array

Step = tuple[str, float, int]

POLICY: tuple[tuple[Step, Step], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)


def autoaugmented(picture: Array, generator: np.random.Generator) -> Array:
    """An RGB picture, uint8 (h, w, 3), after one pair of operations drawn from the policy."""
    image = Image.fromarray(picture)
    for name, probability, strength in POLICY[generator.integers(len(POLICY))]:
        if generator.random() < probability:
            sign = 1 if generator.random() < 0.5 else -1
            image = OPERATIONS[name](image, strength / 9, sign)
    return np.asarray(image)


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, strength, sign: kind(image).enhance(1 + sign * 0.9 * strength)


def _shear(image: Image.Image, strength: float, sign: int) -> Image.Image:
    slope = (1, sign * 0.3 * strength, 0, 0, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, slope, Image.Resampling.BILINEAR)


Operation = Callable[[Image.Image, float, int], Image.Image]
OPERATIONS: dict[str, Operation] = {
    "autocontrast": lambda image, strength, sign: ImageOps.autocontrast(image),
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "equalize": lambda image, strength, sign: ImageOps.equalize(image),
    "invert": lambda image, strength, sign: ImageOps.invert(image),
    "posterize": lambda image, strength, sign: ImageOps.posterize(image, 8 - round(4 * strength)),
    "rotate": lambda image, strength, sign: image.rotate(
        sign * 30 * strength, resample=Image.Resampling.BILINEAR
    ),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear": _shear,
    "solarize": lambda image, strength, sign: ImageOps.solarize(image, round(256 * (1 - strength))),
}
"""What each does with a strength of 0..1; sign (1 or -1) is for those that go both ways."""
