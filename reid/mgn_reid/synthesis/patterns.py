"""Patterns of cloth, by place on the body."""

from __future__ import annotations

import numpy as np

from mgn_reid.synthesis.canvas import Pattern, Places, Point


def upper_pattern(kind: str, chest: Point, unit: float, front: bool) -> Pattern | None:
    """How the upper garment is patterned. chest: between the shoulders; unit: pixels per height."""

    def along(x: Places, y: Places) -> tuple[Places, Places]:
        return (x - chest[0]) / unit, (y - chest[1]) / unit

    def logo(u: Places, v: Places) -> Places:
        """Small on the front, large on the back."""
        size = 0.05 if front else 0.07
        return (u / size) ** 2 + ((v - 0.11) / (size * 0.8)) ** 2

    rules: dict[str, Pattern] = {
        "stripes": lambda x, y: along(x, y)[1] % 0.07 < 0.03,
        "pinstripes": lambda x, y: along(x, y)[0] % 0.05 < 0.018,
        "checks": lambda x, y: (along(x, y)[0] % 0.09 < 0.045) ^ (along(x, y)[1] % 0.09 < 0.045),
        "band": lambda x, y: np.abs(along(x, y)[1] - 0.12) < 0.035,
        "yoke": lambda x, y: along(x, y)[1] < 0.075,
        "logo": lambda x, y: logo(*along(x, y)) < 1,
        "dots": lambda x, y: (
            (along(x, y)[0] % 0.06 - 0.03) ** 2 + (along(x, y)[1] % 0.06 - 0.03) ** 2 < 0.016**2
        ),
    }
    return rules.get(kind)


def lower_pattern(kind: str, hips: Point, unit: float, reach: float) -> Pattern | None:
    """How trousers or skirt are patterned. reach: how far they hang below the hips, in heights."""
    x0, y0 = hips
    rules: dict[str, Pattern] = {
        "side stripe": lambda x, y: (np.abs(x - x0) / unit - 0.09 - (y - y0) / unit * 0.04) > 0,
        "checks": lambda x, y: ((x - x0) / unit % 0.07 < 0.035) ^ ((y - y0) / unit % 0.07 < 0.035),
        "hem": lambda x, y: (y - y0) / unit > reach - 0.09,
    }
    return rules.get(kind)
