"""VGG-16 at its real size with random weights: what train.lua loads in place of the real ones. Standard library only.

Trainings on it learn nothing worth having. They compute as much as with the real weights, and the same on the
card and on the processor.
"""

from __future__ import annotations

import random
import sys
from array import array
from pathlib import Path

from tests.standin import caffemodel

WIDTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
DRAWN = 999_983
"""How many numbers are drawn; a prime, so that no two rows of a layer are the same where they repeat."""


def write(folder: Path, seed: int = 16) -> list[Path]:
    """Write the .prototxt and the .caffemodel (553 MB) into `folder`, in seconds and without other packages."""
    draw = random.Random(seed).gauss
    normal = array("f", (draw(0, 1) for _ in range(DRAWN)))

    def weights(shape: caffemodel.Shape) -> bytes:
        """He's scale, so that activations stay near 1; biases are zero."""
        outputs, inputs, height, width = shape
        if outputs == 1 and inputs == 1 and height == 1:
            return bytes(4 * width)
        fan_in = width if outputs == 1 else inputs * height * width
        count = outputs * inputs * height * width
        scale = (2 / fan_in) ** 0.5
        block = array("f", (value * scale for value in normal))
        if sys.byteorder == "big":
            block.byteswap()
        return (block.tobytes() * (count // DRAWN + 1))[: 4 * count]

    network = caffemodel.Network(WIDTHS, (4096, 4096, 1000), weights)
    proto = folder / f"{caffemodel.NAME}_deploy.prototxt"
    model = folder / f"{caffemodel.NAME}.caffemodel"
    proto.write_text(caffemodel.prototxt(network), encoding="utf-8")
    model.write_bytes(caffemodel.model(network))
    return [proto, model]
