"""python -m tests.standin.dataset DIR [--images N]: write cocotalk.h5 and cocotalk.json, as prepro.py would.

/images uint8 (N,3,256,256), /labels uint32 (M,16), /label_start_ix and /label_end_ix uint32 (N), 1-based and
inclusive, /label_length uint32 (M). The JSON is one line, because train.lua reads only one. Needs h5py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.standin import pictures

LENGTH = 16
SIDE = 256


def split(index: int, images: int) -> str:
    """A fifth of the images is for validation, a tenth for tests."""
    if index < max(1, images // 5):
        return "val"
    return "test" if index < max(2, images // 5 + images // 10) else "train"


def pixels(numpy: Any, index: int) -> Any:
    """3 x 256 x 256 bytes: the colour, a little darker downwards, with a lighter circle in the middle."""
    rows, columns = numpy.mgrid[0:SIDE, 0:SIDE]
    shade = 1 - 0.15 * rows / SIDE
    circle = ((rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2 < (SIDE / 6 + index % 9) ** 2) * 20
    colour = pictures.COLOURS[pictures.colour(index)]
    planes = [numpy.clip(value * shade + circle, 0, 255) for value in colour]
    return numpy.stack(planes).astype("uint8")


def write(folder: Path, images: int = 20) -> tuple[Path, Path]:
    """Write both files; their paths."""
    import h5py
    import numpy

    folder.mkdir(parents=True, exist_ok=True)
    number = {word: code for code, word in enumerate(pictures.vocabulary(), start=1)}
    sentences = [text.split() for index in range(images) for text in pictures.captions(index)]
    each = len(pictures.PATTERNS)
    labels = numpy.zeros((len(sentences), LENGTH), "uint32")
    for row, words in enumerate(sentences):
        labels[row, : len(words)] = [number[word] for word in words]

    h5 = folder / "cocotalk.h5"
    with h5py.File(h5, "w") as file:
        file.create_dataset("images", data=numpy.stack([pixels(numpy, index) for index in range(images)]))
        file.create_dataset("labels", data=labels)
        file.create_dataset("label_length", data=numpy.array([len(words) for words in sentences], "uint32"))
        file.create_dataset("label_start_ix", data=numpy.arange(images, dtype="uint32") * each + 1)
        file.create_dataset("label_end_ix", data=(numpy.arange(images, dtype="uint32") + 1) * each)

    listed = [
        {"split": split(index, images), "file_path": f"train/{index:04}.jpg", "id": pictures.FIRST_ID + index}
        for index in range(images)
    ]
    ix_to_word = {str(code): word for word, code in number.items()}
    text = folder / "cocotalk.json"
    text.write_text(json.dumps({"ix_to_word": ix_to_word, "images": listed}))
    return h5, text


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standin.dataset", description=__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=20, metavar="N", help="how many images (3 or more)")
    given = parser.parse_args(arguments)
    if given.images < 3:
        parser.error("--images: 3 or more, one for each split")
    for path in write(given.dir, given.images):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
