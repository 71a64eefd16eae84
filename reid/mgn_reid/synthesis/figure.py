"""A person in a pose, drawn on a canvas.

Lengths are shares of the body's height; x runs to the right, heights up from the ground. A body turned by 0
radians faces the viewer, by pi/2 walks to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mgn_reid.synthesis.canvas import SHADOW, Canvas, Point
from mgn_reid.synthesis.patterns import lower_pattern, upper_pattern
from mgn_reid.synthesis.person import Person

SHOULDER, HIP, KNEE, HEAD = 0.815, 0.49, 0.265, 0.925
ELBOW, HAND = 0.17, 0.325  # from the shoulder


@dataclass(frozen=True)
class Pose:
    """feet: the pixel below the body. height: of the body in pixels. turn: radians. stride, swing: half the
    spread of feet and hands. squeeze: what a high camera leaves of the legs."""

    feet: Point
    height: float
    turn: float
    stride: float
    swing: float
    lean: float
    squeeze: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, feet: Point, height: float, turn: float, squeeze: float) -> Pose:
        """A random moment of walking or standing."""
        phase = math.sin(rng.uniform(0, 2 * math.pi))
        walking = rng.random() < 0.85
        return cls(
            feet,
            height,
            turn,
            stride=phase * (0.14 if walking else 0.03),
            swing=-phase * rng.uniform(0.04, 0.14) if walking else rng.uniform(-0.02, 0.02),
            lean=rng.uniform(-0.02, 0.02),
            squeeze=squeeze,
        )


class Figure:
    """One person being drawn. Parts behind are darker, so that limbs stand out from the body."""

    def __init__(self, canvas: Canvas, person: Person, pose: Pose) -> None:
        self.canvas, self.person, self.pose = canvas, person, pose
        self.across, self.deep = math.cos(pose.turn), math.sin(pose.turn)
        self.front = self.across > -0.2
        self.legs = HIP * pose.squeeze
        self.skin = canvas.material(person.skin)
        shift = pose.lean * pose.height
        chest = (pose.feet[0] + shift, self.at(0, SHOULDER)[1])
        upper, lower = person.upper, person.lower
        self.upper = canvas.material(
            upper.colour, upper.second, upper_pattern(upper.pattern, chest, pose.height, self.front)
        )
        hips = (pose.feet[0], self.at(0, HIP)[1])
        reach = lower.length * self.legs
        self.lower = canvas.material(
            lower.colour, lower.second, lower_pattern(lower.pattern, hips, pose.height, reach)
        )
        self.shoes = canvas.material(person.shoes)
        self.hair = canvas.material(person.hair)

    def at(self, x: float, y: float) -> Point:
        """The pixel of a place on the body; the upper body leans."""
        pose = self.pose
        y -= HIP * (1 - pose.squeeze) if y >= HIP else y * (1 - pose.squeeze)
        lean = pose.lean * max(0.0, y - self.legs) * 2
        return pose.feet[0] + (x + lean) * pose.height, pose.feet[1] - y * pose.height

    def draw(self) -> None:
        """Everything, from back to front."""
        near = 1 if self.deep <= 0 else -1
        self._shadow()
        self._bag(behind=True)
        if self.front:
            self._backpack(body=True)
        self._arm(-near, 0.74)
        for side, shade in ((-near, 0.82), (near, 1.0)):
            self._leg(side, shade)
        self._hips()
        self._hair_behind()
        self._torso()
        self._head()
        if not self.front:
            self._backpack(body=True)
        self._backpack(body=False)
        self._arm(near, 0.9)
        self._bag(behind=False)

    def _shadow(self) -> None:
        x, y = self.pose.feet
        h = self.pose.height
        self.canvas.oval((x + 0.03 * h, y), (0.17 * h, 0.025 * h), SHADOW, 0.62)

    def _hip(self, side: int) -> float:
        return side * 0.052 * self.across * self.person.breadth

    def _leg(self, side: int, shade: float) -> None:
        person, pose, h = self.person, self.pose, self.pose.height
        forward = side * pose.stride
        hip = self._hip(side)
        foot = (
            hip + forward * self.deep,
            0.03 + 0.06 * max(0.0, forward * self.across) + 0.02 * (forward < 0),
        )
        bend = 0.03 * abs(self.deep) * (1 if self.deep >= 0 else -1)
        knee = (hip + forward * self.deep * 0.45 + bend, KNEE)
        thick = [0.06 * person.breadth, 0.046 * person.breadth, 0.032]
        joints = [self.at(hip, HIP), self.at(*knee), self.at(*foot)]
        radii = [r * h for r in thick]
        toe = (foot[0] + 0.045 * self.deep, foot[1] - 0.012 - 0.012 * self.across)
        self.canvas.limb(joints, radii, self.skin, shade)
        self.canvas.limb([self.at(*foot), self.at(*toe)], [0.03 * h, 0.024 * h], self.shoes, shade)
        if not person.skirt:
            covered, wide = _part(joints, [r * 1.1 for r in radii], person.lower.length)
            self.canvas.limb(covered, wide, self.lower, shade)

    def _half(self, front: float, side: float) -> float:
        """Half of what is `front` wide seen from the front and `side` seen from the side."""
        return self.person.breadth * math.hypot(front * self.across, side * self.deep)

    def _hips(self) -> None:
        person = self.person
        waist = self._half(0.088, 0.075)
        low = HIP - 0.03
        self.canvas.shape(
            [self.at(-waist, 0.6), self.at(waist, 0.6), self.at(waist, low), self.at(-waist, low)], self.lower
        )
        if person.skirt:
            hem = HIP - person.lower.length * (HIP - 0.04)
            wide = waist * 1.25 + abs(self.pose.stride * self.deep) * person.lower.length
            corners = [self.at(-waist, 0.58), self.at(waist, 0.58), self.at(wide, hem), self.at(-wide, hem)]
            self.canvas.shape(corners, self.lower)

    def _torso(self) -> None:
        person, h = self.person, self.pose.height
        shoulder, chest, waist = self._half(0.128, 0.07), self._half(0.115, 0.085), self._half(0.098, 0.08)
        hem = HIP - 0.02 - person.tail * HIP
        self.canvas.limb([self.at(0, 0.82), self.at(0, 0.88)], [0.034 * h] * 2, self.skin, 0.85)
        rows = (
            (shoulder * 0.55, 0.85),
            (shoulder, SHOULDER),
            (chest, 0.72),
            (waist, 0.58),
            (waist * 1.08, hem),
        )
        right = [self.at(x, y) for x, y in rows]
        left = [self.at(-x, y) for x, y in reversed(rows)]
        self.canvas.shape([*right, *left], self.upper)
        if person.opening is not None and self.across > 0.3:
            inner = self.canvas.material(person.opening)
            middle, wide = 0.05 * self.deep, 0.038 * self.across * person.breadth
            opened = [
                (middle - wide, 0.845),
                (middle + wide, 0.845),
                (middle + wide, hem),
                (middle - wide, hem),
            ]
            self.canvas.shape([self.at(*p) for p in opened], inner, 0.95)

    def _hair_behind(self) -> None:
        if self.person.haircut == "long" and self.front:
            head, h = self.person.head, self.pose.height
            self.canvas.oval(
                self.at(-0.02 * self.deep, HEAD - 0.04), (0.064 * head * h, 0.1 * head * h), self.hair
            )

    def _head(self) -> None:
        person, h = self.person, self.pose.height
        wide, tall = 0.05 * person.head, 0.066 * person.head
        face = 0.014 * self.deep
        centre = self.at(face, HEAD)
        if person.haircut == "bun":
            self.canvas.oval(self.at(-3 * face, HEAD + 0.07), (0.026 * h, 0.024 * h), self.hair)
        self.canvas.oval(centre, (wide * h, tall * h), self.skin)
        if person.haircut != "bald":
            self._hairline(centre, wide * h, tall * h)
        if person.hat != "none":
            self._hat(centre, wide * h, tall * h)

    def _hairline(self, centre: Point, wide: float, tall: float) -> None:
        x, y = centre
        if not self.front:
            low = 0.35 if self.person.haircut == "long" else -0.1
            self.canvas.oval(
                (x, y + low * tall), (wide * (1.1 + 0.2 * (low > 0)), tall * (1 + low)), self.hair
            )
            return
        back = x - 0.5 * wide * self.deep
        self.canvas.oval((back, y - 0.52 * tall), (wide * 1.02, tall * 0.58), self.hair)
        if abs(self.deep) > 0.5:
            self.canvas.oval(
                (x - 0.55 * wide * self.deep, y - 0.1 * tall), (wide * 0.6, tall * 0.8), self.hair
            )

    def _hat(self, centre: Point, wide: float, tall: float) -> None:
        x, y = centre
        hat = self.canvas.material(self.person.hat_colour)
        self.canvas.oval((x, y - 0.55 * tall), (wide * 1.12, tall * 0.6), hat)
        if self.person.hat == "brim":
            self.canvas.oval((x, y - 0.3 * tall), (wide * 1.9, tall * 0.2), hat, 0.85)
        if self.person.hat == "cap" and self.front:
            peak = (x + 0.8 * wide * self.deep, y - 0.3 * tall)
            self.canvas.oval(peak, (wide * 0.95, tall * 0.17), hat, 0.8)

    def _arm(self, side: int, shade: float) -> None:
        person, pose, h = self.person, self.pose, self.pose.height
        shoulder = (side * 0.122 * self.across * person.breadth, SHOULDER - 0.025)
        spread = side * 0.028 * self.across
        swing = side * pose.swing * self.deep
        elbow = (shoulder[0] + spread + swing * 0.45, SHOULDER - ELBOW)
        hand = (shoulder[0] + spread * 1.2 + swing * 1.2 + 0.03 * self.deep, SHOULDER - HAND)
        joints = [self.at(*shoulder), self.at(*elbow), self.at(*hand)]
        radii = [0.036 * h * person.breadth**0.5, 0.03 * h, 0.022 * h]
        self.canvas.limb(joints, radii, self.skin, shade)
        covered, wide = _part(joints, [r * 1.15 for r in radii], max(0.12, 0.92 * person.upper.length))
        self.canvas.limb(covered, wide, self.upper, shade)
        if side == self.person.bag_side:
            self.hand = joints[-1]

    def _bag(self, behind: bool) -> None:
        person, h = self.person, self.pose.height
        near = person.bag_side * self.deep <= 0.3
        if person.bag == "none" or near == behind:
            return
        leather = self.canvas.material(person.bag_colour)
        if person.bag == "shoulder":
            x = person.bag_side * self._half(0.12, 0.03)
            self.canvas.limb(
                [self.at(-x * 0.7, SHOULDER + 0.02), self.at(x, 0.56)], [0.011 * h] * 2, leather, 0.8
            )
            top, low, wide = 0.57, 0.42, 0.035 + 0.05 * abs(self.deep)
        else:
            x = person.bag_side * (0.15 * abs(self.across) * person.breadth + 0.01)
            top, low, wide = (0.46, 0.34, 0.05) if person.bag == "hand" else (0.44, 0.27, 0.085)
            wide *= 0.55 + 0.45 * abs(self.deep) if person.bag == "case" else 1.0
        box = [(x - wide, top), (x + wide, top), (x + wide * 1.1, low), (x - wide * 1.1, low)]
        self.canvas.shape([self.at(*p) for p in box], leather)

    def _backpack(self, body: bool) -> None:
        """Its body, behind the torso or over it; or its straps on the shoulders."""
        colour, h = self.person.backpack, self.pose.height
        if colour is None:
            return
        pack = self.canvas.material(colour)
        if body:
            x, wide = -0.1 * self.deep, 0.055 + 0.035 * abs(self.across)
            self.canvas.limb([self.at(x, 0.77), self.at(x, 0.61)], [wide * h * 0.9, wide * h], pack, 0.92)
        elif self.front:
            for side in (-1, 1):
                x = side * 0.075 * self.across
                self.canvas.limb([self.at(x, 0.83), self.at(x * 1.1, 0.66)], [0.013 * h] * 2, pack, 0.85)


def _part(joints: list[Point], radii: list[float], share: float) -> tuple[list[Point], list[float]]:
    """The first `share` of a limb with two bones of about equal length."""
    bones = len(joints) - 1
    whole = min(bones - 1, int(share * bones))
    t = share * bones - whole
    (x0, y0), (x1, y1) = joints[whole], joints[whole + 1]
    end = (x0 + (x1 - x0) * t, y0 + (y1 - y0) * t)
    radius = radii[whole] + (radii[whole + 1] - radii[whole]) * t
    return [*joints[: whole + 1], end], [*radii[: whole + 1], radius]
