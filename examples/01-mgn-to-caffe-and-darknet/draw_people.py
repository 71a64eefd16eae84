"""Draws the pictures beside this file: simple pedestrians, each seen twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HEIGHT, WIDTH = 256, 128
PEOPLE = {
    "ada": dict(coat=(178, 34, 52), trousers=(32, 36, 48), hair=(60, 40, 24), bag=None),
    "ben": dict(coat=(46, 94, 140), trousers=(150, 132, 100), hair=(20, 18, 18), bag=(90, 60, 30)),
    "cem": dict(coat=(222, 196, 70), trousers=(60, 74, 58), hair=(170, 130, 70), bag=None),
}


def draw(person: dict, seed: int) -> Image.Image:
    """One view: another background, light, place and pose per seed."""
    rng = np.random.default_rng(seed)
    ground = np.linspace(0, 1, HEIGHT)[:, None, None] * rng.uniform(-60, 60, 3) + rng.uniform(90, 190, 3)
    noise = rng.normal(0, 6, (HEIGHT, WIDTH, 3))
    picture = Image.fromarray(np.clip(ground + noise, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    x, lean = WIDTH / 2 + rng.uniform(-8, 8), rng.uniform(-6, 6)
    stride = rng.uniform(6, 18)
    for side in (-1, 1):
        pen.line([(x + side * 9, 148), (x + side * stride, 236)], fill=person["trousers"], width=18)
        pen.line([(x + side * 22, 70), (x + side * 30 - lean, 140)], fill=person["coat"], width=12)
    pen.rounded_rectangle([x - 25, 58, x + 25, 158], radius=12, fill=person["coat"])
    pen.ellipse([x - 13 + lean, 18, x + 13 + lean, 52], fill=(214, 176, 150))
    pen.chord([x - 14 + lean, 14, x + 14 + lean, 48], 180, 360, fill=person["hair"])
    if person["bag"]:
        pen.rectangle([x + 20, 96, x + 42, 134], fill=person["bag"])
    light = rng.uniform(0.75, 1.2)
    shaded = np.clip(np.asarray(picture, np.float32) * light, 0, 255).astype(np.uint8)
    return Image.fromarray(shaded).filter(ImageFilter.GaussianBlur(0.8))


def main() -> None:
    folder = Path(__file__).parent / "images"
    folder.mkdir(exist_ok=True)
    for number, (name, person) in enumerate(PEOPLE.items()):
        for view in (1, 2):
            draw(person, 10 * number + view).save(folder / f"{name}_{view}.png", optimize=True)


if __name__ == "__main__":
    main()
