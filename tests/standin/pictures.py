"""The small data set: the colour of each picture, and its captions."""

from __future__ import annotations

import json

FIRST_ID = 1001
ANNOTATED = 40  # number of images in annotations/captions_val2014.json
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 25),
    "green": (30, 190, 40),
    "blue": (30, 50, 210),
    "gray": (128, 128, 128),
    "white": (240, 240, 240),
    "black": (20, 20, 20),
    "yellow": (230, 220, 40),
}
PATTERNS = (
    "a mostly {} picture of a circle",
    "a {} circle",
    "there is a {} circle in the picture",
    "circle {}",
    "the picture of a circle is mostly {}",
)


def colour(index: int) -> str:
    """The name of the colour of image `index` (from 0)."""
    return list(COLOURS)[index % len(COLOURS)]


def captions(index: int) -> list[str]:
    return [pattern.format(colour(index)) for pattern in PATTERNS]


def vocabulary() -> list[str]:
    """Every word of every caption, in order."""
    return sorted({word for index in range(len(COLOURS)) for text in captions(index) for word in text.split()})


def coco_annotations() -> str:
    """The captions in COCO's format, on one line."""
    ids = range(FIRST_ID, FIRST_ID + ANNOTATED)
    return json.dumps(
        {
            "info": {},
            "type": "captions",
            "licenses": [],
            "images": [{"id": image, "file_name": f"{image}.jpg"} for image in ids],
            "annotations": [
                {"id": 10 * image + number, "image_id": image, "caption": text}
                for image in ids
                for number, text in enumerate(captions(image - FIRST_ID))
            ],
        }
    )
