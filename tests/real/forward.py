"""The forward pass of VGG-16's layers in plain numpy, slow and without gradients, for a few pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from tests.real import made

MEAN = (103.939, 116.779, 123.68)
"""The mean of the pictures that VGG-16 was trained on: blue, green, red."""
STORED, CROPPED = 256, 224
"""The side of a picture in the HDF5 file, and of its middle, which is the input of the network; pixels."""


def inputs(scenes: Sequence[made.Scene]) -> Any:
    """The scenes as input of the network: float32 (3, pictures, 224, 224), blue, green and red around 0."""
    import numpy

    off = (STORED - CROPPED) // 2
    box = (off, off, off + CROPPED, off + CROPPED)
    small = [made.picture(s).resize((STORED, STORED), Image.Resampling.BILINEAR).crop(box) for s in scenes]
    planes = numpy.stack([numpy.asarray(one, "float32") for one in small])[..., ::-1] - numpy.array(MEAN, "float32")
    return numpy.ascontiguousarray(planes.transpose(3, 0, 1, 2))


def convolved(weight: Any, bias: Any, x: Any) -> Any:
    """max(0, x * weight + bias): weight (outputs, inputs, 3, 3), x (inputs, pictures, height, width), padded by 0."""
    import numpy

    channels, pictures, height, width = x.shape
    wide = width + 2
    # The rows of all pictures are one array, so that each of the nine kernel positions is a shift.
    flat = numpy.zeros((channels, pictures * (height + 2) * wide + 2), "float32")
    room = flat[:, :-2].reshape(channels, pictures, height + 2, wide)
    room[:, :, 1:-1, 1:-1] = x
    length = (pictures * (height + 2) - 2) * wide
    total = numpy.zeros((len(weight), pictures * (height + 2) * wide), "float32")
    for down in range(3):
        for right in range(3):
            start = down * wide + right
            total[:, :length] += numpy.ascontiguousarray(weight[:, :, down, right]) @ flat[:, start : start + length]
    out = total.reshape(len(weight), pictures, height + 2, wide)[:, :, :height, :width]
    return numpy.maximum(out + bias[:, None, None, None], 0)


def pooled(x: Any) -> Any:
    """The maximum of each 2 x 2 pixels."""
    channels, pictures, height, width = x.shape
    return x.reshape(channels, pictures, height // 2, 2, width // 2, 2).max(axis=(3, 5))


def dense(weight: Any, bias: Any, x: Any) -> Any:
    """max(0, x weight + bias): weight (outputs, inputs), x (pictures, inputs)."""
    import numpy

    return numpy.maximum(x @ weight.T + bias, 0)


def cosines(code: Any) -> Any:
    """The cosine of the codes of every two pictures, from (pictures, numbers): 1 if the network makes no difference."""
    import numpy

    unit = code / numpy.linalg.norm(code, axis=1, keepdims=True)
    return (unit @ unit.T)[numpy.triu_indices(len(code), 1)]
