"""Who is on a picture: clothing, build and carried things, drawn once per identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

CLOTH: tuple[Colour, ...] = (
    (24, 24, 28), (62, 64, 70), (120, 122, 126), (182, 182, 180), (236, 234, 228), (30, 40, 78),
    (44, 82, 150), (92, 150, 208), (26, 110, 118), (34, 96, 58), (106, 140, 62), (160, 196, 120),
    (108, 108, 60), (96, 62, 38), (156, 112, 70), (206, 182, 140), (232, 204, 70), (228, 134, 40),
    (188, 44, 42), (108, 24, 36), (226, 110, 110), (232, 160, 186), (190, 50, 120), (110, 58, 140),
    (168, 142, 204), (70, 178, 170),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (22, 22, 26), (56, 58, 64), (112, 112, 116), (34, 44, 82), (64, 92, 146), (126, 156, 196),
    (190, 172, 132), (98, 76, 52), (84, 88, 56), (220, 216, 206), (120, 34, 44), (40, 92, 84), (146, 98, 60),
)  # fmt: skip
LEATHER: tuple[Colour, ...] = (
    (28, 26, 28), (92, 58, 32), (168, 118, 66), (170, 36, 44), (40, 66, 116), (214, 206, 188), (60, 110, 72),
    (208, 120, 42),
)  # fmt: skip
SHOES: tuple[Colour, ...] = ((26, 24, 26), (226, 224, 220), (98, 66, 42), (60, 68, 96), (178, 50, 46))
SKIN: tuple[Colour, ...] = (
    (238, 206, 182), (224, 182, 150), (198, 150, 114), (160, 112, 80), (112, 76, 54), (78, 54, 42)
)  # fmt: skip
HAIR: tuple[Colour, ...] = (
    (22, 18, 18), (50, 34, 26), (88, 58, 36), (140, 98, 54), (206, 172, 106), (150, 150, 148), (140, 62, 36)
)  # fmt: skip

UPPER_PATTERNS = ("plain", "stripes", "pinstripes", "checks", "band", "yoke", "logo", "dots")
UPPER_ODDS = (0.36, 0.13, 0.07, 0.12, 0.1, 0.1, 0.08, 0.04)
LOWER_PATTERNS = ("plain", "side stripe", "checks", "hem")
LOWER_ODDS = (0.7, 0.12, 0.1, 0.08)


@dataclass(frozen=True)
class Garment:
    """length: the share of arm or leg that it covers. pattern: how `second` is laid on `colour`."""

    colour: Colour
    second: Colour
    pattern: str
    length: float


@dataclass(frozen=True)
class Person:
    """What stays the same on every picture of one identity.

    breadth and head are factors around 1. tail: how far the upper garment hangs below the hips, as a share of
    the leg. opening: the shirt that an open jacket shows from the front. bag: none, hand, shoulder or case.
    """

    breadth: float
    head: float
    skin: Colour
    hair: Colour
    haircut: str
    hat: str
    hat_colour: Colour
    upper: Garment
    tail: float
    opening: Colour | None
    lower: Garment
    skirt: bool
    shoes: Colour
    bag: str
    bag_colour: Colour
    bag_side: int
    backpack: Colour | None

    @classmethod
    def of(cls, seed: int, identity: int) -> Person:
        """The person called `identity` (0 or more) in the world of `seed`."""
        rng = np.random.default_rng([seed, 1, identity])
        upper = _garment(
            rng, CLOTH, UPPER_PATTERNS, UPPER_ODDS, (0.0, 0.35, 0.55, 1.0), (0.1, 0.25, 0.1, 0.55)
        )
        skirt = bool(rng.random() < 0.22)
        lengths, odds = (
            ((0.42, 0.6, 0.85), (0.4, 0.35, 0.25)) if skirt else ((0.45, 0.7, 1.0), (0.25, 0.1, 0.65))
        )
        lower = _garment(rng, CLOTH if skirt else TROUSERS, LOWER_PATTERNS, LOWER_ODDS, lengths, odds)
        long_sleeves = upper.length == 1.0
        return cls(
            breadth=rng.uniform(0.82, 1.25),
            head=rng.uniform(0.9, 1.12),
            skin=_shade(rng, SKIN, 6),
            hair=_shade(rng, HAIR, 6),
            haircut=str(rng.choice(("short", "long", "bun", "bald"), p=(0.5, 0.3, 0.12, 0.08))),
            hat=str(rng.choice(("none", "cap", "beanie", "brim"), p=(0.7, 0.12, 0.1, 0.08))),
            hat_colour=_shade(rng, CLOTH, 8),
            upper=upper,
            tail=rng.uniform(0.3, 0.55) if long_sleeves and rng.random() < 0.25 else rng.uniform(0.0, 0.16),
            opening=_shade(rng, CLOTH, 8) if long_sleeves and rng.random() < 0.3 else None,
            lower=lower,
            skirt=skirt,
            shoes=_shade(rng, SHOES, 8),
            bag=str(rng.choice(("none", "hand", "shoulder", "case"), p=(0.58, 0.16, 0.18, 0.08))),
            bag_colour=_shade(rng, LEATHER, 8),
            bag_side=int(rng.choice((-1, 1))),
            backpack=_shade(rng, LEATHER + CLOTH, 8) if rng.random() < 0.28 else None,
        )


def _garment(
    rng: np.random.Generator,
    colours: tuple[Colour, ...],
    patterns: tuple[str, ...],
    pattern_odds: tuple[float, ...],
    lengths: tuple[float, ...],
    length_odds: tuple[float, ...],
) -> Garment:
    first = _shade(rng, colours, 10)
    second = max(
        (_shade(rng, CLOTH, 10) for _ in range(3)), key=lambda c: int(np.abs(np.subtract(c, first)).sum())
    )
    return Garment(
        first,
        second,
        str(rng.choice(patterns, p=pattern_odds)),
        float(rng.choice(lengths, p=length_odds)),
    )


def _shade(rng: np.random.Generator, colours: tuple[Colour, ...], spread: int) -> Colour:
    base = colours[rng.integers(len(colours))]
    red, green, blue = np.clip(np.add(base, rng.integers(-spread, spread + 1, 3)), 8, 247)
    return int(red), int(green), int(blue)
