"""VGG-16 at its real size with random weights: what train.lua loads where the real weights may not be had."""

from __future__ import annotations

from pathlib import Path

from tests.standin import caffemodel

WIDTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}


def write(folder: Path, seed: int = 16) -> list[Path]:
    """Write the .prototxt and the .caffemodel (553 MB) into `folder`; needs numpy."""
    import numpy

    random = numpy.random.default_rng(seed)

    def weights(shape: tuple[int, int, int, int]) -> bytes:
        """He's scale, so that activations stay near 1; biases are zero."""
        outputs, inputs, height, width = shape
        if outputs == 1 and inputs == 1 and height == 1:
            return numpy.zeros(width, "<f4").tobytes()
        fan_in = width if outputs == 1 else inputs * height * width
        count = outputs * inputs * height * width
        values = random.standard_normal(count, "f4") * numpy.float32((2 / fan_in) ** 0.5)
        return bytes(values.astype("<f4").tobytes())

    network = caffemodel.Network(WIDTHS, (4096, 4096, 1000), weights)
    proto = folder / f"{caffemodel.NAME}_deploy.prototxt"
    model = folder / f"{caffemodel.NAME}.caffemodel"
    proto.write_text(caffemodel.prototxt(network), encoding="utf-8")
    model.write_bytes(caffemodel.model(network))
    return [proto, model]
