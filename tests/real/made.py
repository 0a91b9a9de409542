"""A small set of pictures whose captions can be learnt: one coloured shape on a plain ground, five captions each.

python -m tests.real.made DIR [--pictures N]: write DIR/pictures (PNG and JPEG in folders), captions.json in the raw
form of neuraltalk2's prepro.py, and captions.csv with a row for each caption. Needs Pillow.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (210, 35, 30),
    "green": (35, 170, 50),
    "blue": (35, 60, 205),
    "yellow": (225, 205, 40),
}
GROUNDS: dict[str, Colour] = {"white": (240, 240, 240), "gray": (128, 128, 128), "black": (18, 18, 18)}
SHAPES = ("circle", "square", "triangle")
PATTERNS = (
    "A {colour} {shape} on a {ground} ground.",
    "There is a {colour} {shape} on {ground}.",
    "A {ground} picture with a {colour} {shape}.",
    "The {shape} is {colour} and the ground is {ground}.",
    "A {colour} {shape} in front of a {ground} wall.",
)
SIZES = ((320, 240), (240, 320), (300, 300), (400, 300))
PICTURES = 120
FIRST_ID = 5001
FINE = 4
"""Shapes are drawn larger by this factor and scaled down, which makes their edges smooth."""


@dataclass(frozen=True)
class Scene:
    """The content of a picture."""

    number: int
    shape: str
    colour: str
    ground: str
    size: tuple[int, int]
    """Width and height, in pixels."""
    middle: tuple[float, float]
    """Centre of the shape, as fractions of width and height."""
    radius: float
    """Radius of the shape, as a fraction of the shorter side."""
    shade: float
    """Brightness of the shape; 1 is its exact colour."""

    @property
    def file(self) -> str:
        """Its path below the folder of pictures; one in three is a PNG, the others are JPEGs."""
        folder = "first" if self.number % 2 else "second"
        return f"{folder}/{self.number:03}.{'png' if self.number % 3 == 0 else 'jpg'}"

    @property
    def captions(self) -> list[str]:
        """Five sentences that name shape, colour and ground."""
        return [pattern.format(shape=self.shape, colour=self.colour, ground=self.ground) for pattern in PATTERNS]


def scenes(count: int, seed: int = 9) -> list[Scene]:
    """`count` scenes. Each 36 of them have every shape in every colour on every ground, in random order."""
    draw = random.Random(seed)
    found: list[Scene] = []
    while len(found) < count:
        kinds = list(product(SHAPES, COLOURS, GROUNDS))
        draw.shuffle(kinds)
        for shape, colour, ground in kinds:
            middle = (draw.uniform(0.44, 0.56), draw.uniform(0.44, 0.56))
            place = (draw.choice(SIZES), middle, draw.uniform(0.24, 0.32), draw.uniform(0.85, 1.1))
            found.append(Scene(len(found) + 1, shape, colour, ground, *place))
    return found[:count]


def picture(scene: Scene) -> Any:
    """The scene as a Pillow image, RGB."""
    from PIL import Image, ImageDraw

    width, height = (FINE * side for side in scene.size)
    image = Image.new("RGB", (width, height), GROUNDS[scene.ground])
    x, y = scene.middle[0] * width, scene.middle[1] * height
    r = scene.radius * min(width, height)
    red, green, blue = (min(255, round(value * scene.shade)) for value in COLOURS[scene.colour])
    pen = ImageDraw.Draw(image)
    match scene.shape:
        case "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=(red, green, blue))
        case "square":
            pen.rectangle((x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r), fill=(red, green, blue))
        case _:
            pen.polygon([(x, y - r), (x - 1.1 * r, y + 0.9 * r), (x + 1.1 * r, y + 0.9 * r)], fill=(red, green, blue))
    return image.resize(scene.size, Image.Resampling.LANCZOS)


def encoded(scene: Scene, kind: str = "") -> bytes:
    """The picture as the bytes of a PNG or JPEG; by default according to the scene's file name."""
    into = io.BytesIO()
    picture(scene).save(into, kind or ("PNG" if scene.file.endswith(".png") else "JPEG"), quality=92)
    return into.getvalue()


def write(folder: Path, pictures: int = PICTURES) -> list[Scene]:
    """Write the pictures and both files of captions into `folder`; the scenes."""
    shown = scenes(pictures)
    for scene in shown:
        path = folder / "pictures" / scene.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(scene))
    raw = [{"file_path": s.file, "captions": s.captions, "id": FIRST_ID + s.number} for s in shown]
    (folder / "captions.json").write_text(json.dumps(raw), encoding="utf-8")
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "caption"])
        rows.writerows((scene.file, caption) for scene in shown for caption in scene.captions)
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real.made", description=__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--pictures", type=int, default=PICTURES, metavar="N", help="how many pictures (36 or more)")
    options = parser.parse_args(arguments)
    if options.pictures < 36:
        parser.error("--pictures: 36 or more, one of every kind")
    print(f"{len(write(options.dir, options.pictures))} pictures in {options.dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
