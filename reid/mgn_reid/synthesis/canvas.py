"""A drawing made of materials and shades, laid over a background.

Each pixel holds a material (an index) and a shade; colours and patterns are looked up when all is drawn, so
that a pattern runs on over whatever parts a garment has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mgn_reid.synthesis.person import Colour

Point = tuple[float, float]
Pixels = npt.NDArray[np.uint8]
Places = npt.NDArray[np.float32]
Pattern = Callable[[Places, Places], npt.NDArray[np.bool_]]
"""(x, y) of pixels on the canvas -> which of them have the second colour."""

SHADOW = 1
_PLAIN = 200  # the shade that leaves a colour as it is


class Canvas:
    """width, height: pixels. Material SHADOW darkens the background."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("I", (width, height))
        self._pen = ImageDraw.Draw(self._image)
        self._colours: list[Colour] = [(0, 0, 0), (0, 0, 0)]
        self._patterns: dict[int, tuple[Colour, Pattern]] = {}

    def material(self, colour: Colour, second: Colour | None = None, pattern: Pattern | None = None) -> int:
        """A new material for the other functions."""
        self._colours.append(colour)
        number = len(self._colours) - 1
        if second is not None and pattern is not None:
            self._patterns[number] = (second, pattern)
        return number

    def shape(self, corners: Sequence[Point], material: int, shade: float = 1.0) -> None:
        """A filled polygon."""
        self._pen.polygon(list(corners), fill=_code(material, shade))

    def oval(self, centre: Point, radius: Point, material: int, shade: float = 1.0) -> None:
        """A filled ellipse."""
        (x, y), (across, up) = centre, radius
        self._pen.ellipse((x - across, y - up, x + across, y + up), fill=_code(material, shade))

    def limb(
        self, joints: Sequence[Point], radii: Sequence[float], material: int, shade: float = 1.0
    ) -> None:
        """A rounded line through `joints`, as thick at each as its radius says."""
        code = _code(material, shade)
        for (x, y), radius in zip(joints, radii, strict=True):
            self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=code)
        for i in range(len(joints) - 1):
            (x0, y0), (x1, y1) = joints[i], joints[i + 1]
            away = math.hypot(x1 - x0, y1 - y0) or 1.0
            nx, ny = (y0 - y1) / away, (x1 - x0) / away
            a, b = radii[i], radii[i + 1]
            self._pen.polygon(
                [
                    (x0 + nx * a, y0 + ny * a),
                    (x1 + nx * b, y1 + ny * b),
                    (x1 - nx * b, y1 - ny * b),
                    (x0 - nx * a, y0 - ny * a),
                ],
                fill=code,
            )

    def over(self, background: Pixels, light: Places) -> Pixels:
        """The drawing, uint8 (height, width, 3). light: factors (height, width) for what is drawn."""
        codes = np.asarray(self._image)
        places = np.flatnonzero(codes)
        drawn = codes.ravel()[places]
        materials = drawn >> 8
        result = background.reshape(-1, 3).copy()
        colours = np.array(self._colours, np.float32)[materials]
        behind = materials == SHADOW
        colours[behind] = result[places[behind]]
        for number, (second, pattern) in self._patterns.items():
            own = np.flatnonzero(materials == number)
            y, x = np.divmod(places[own], codes.shape[1])
            colours[own[pattern(x.astype(np.float32), y.astype(np.float32))]] = second
        shades = (drawn & 255) * np.float32(1 / _PLAIN)
        shades *= np.where(behind, np.float32(1), light.ravel()[places])
        colours *= shades[:, None]
        result[places] = np.minimum(colours, 255)
        return result.reshape(background.shape)


def _code(material: int, shade: float) -> int:
    return material << 8 | min(255, round(shade * _PLAIN))
