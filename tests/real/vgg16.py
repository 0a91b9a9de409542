"""VGG-16 at its real size, with weights that keep colours and coarse shapes: for train.lua if the real weights are not
available.

Only random weights are not enough: after fifteen layers of rectifiers the codes of all pictures have nearly the same
direction (the mean cosine of two is 0.92), and a language model gives one sentence for all. So some channels are
made by hand, and the mean cosine of the codes of two pictures is 0.19:

    conv1_1  red, green and blue above and below the mean; light, dark, red-green, blue-yellow, each way
    conv1_2  the planes blurred, the others as they are
    conv2_1  edges of the planes in four directions, each way (Sobel's)
    conv2_2  for each direction: edges along it less edges across it
    conv3_1, conv3_2  of these what is below a limit, so that a faint edge counts as much as a strong one
    conv3_3 to conv5_3  these 16 channels as they are; the poolings keep their largest values in 7 x 7 cells
    fc6, fc7  random sums of what differs from the mean of some made pictures

All other channels are random with He's scale and a mean of 0, at a lower gain. Written by plain numpy from a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.real import forward, made
from tests.standin import caffemodel

WIDTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
DEPTHS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
PLANES, COLOURS, DIRECTIONS = 6, 12, 4
"""Channels by hand: the first 6 are planes, the first 12 colours (planes among them), then come the directions."""
LIGHT = (6, 7)
CODE = 4096
CONTRAST = 64.0
"""How many levels of a colour make 1."""
ACROSS = 1.5
"""What an edge across a direction takes away: edges turned by more than 34 degrees are not seen."""
LIMIT = 0.4
"""Of an edge's strength."""
RANDOM_GAIN = 0.3
COMPONENTS = 16
"""How many principal components of fc6's code fc7 sums."""
ABOVE, SCALE = 0.5, 4.0
"""fc7 lets through what is above half a deviation, and a deviation is 4: the layer that neuraltalk2 puts behind it,
random and untrained in the first stage, makes numbers near 1 of it, like those of its words."""
FLOOR = 0.5
"""Of the deviation of a sum over cells: what hardly ever differs is not blown up."""
PLACES = 7
"""Cells of the last pooling, down and across."""


def write(folder: Path, seed: int = 16) -> list[Path]:
    """Write the .prototxt and the .caffemodel (553 MB) into `folder`, in half a minute. Needs numpy and Pillow."""
    arrays = weights(seed)

    def of(shape: caffemodel.Shape) -> bytes:
        """The next array, which is the next one of the file."""
        array = next(arrays)
        size = shape[0] * shape[1] * shape[2] * shape[3]
        if array.size != size:
            raise ValueError(f"{array.shape} in the place of {shape}")
        return bytes(array.astype("<f4").tobytes())

    network = caffemodel.Network(WIDTHS, (CODE, CODE, 1000), of)
    proto = folder / f"{caffemodel.NAME}_deploy.prototxt"
    model = folder / f"{caffemodel.NAME}.caffemodel"
    proto.write_text(caffemodel.prototxt(network), encoding="utf-8")
    model.write_bytes(caffemodel.model(network))
    return [proto, model]


def weights(seed: int = 16) -> Iterator[Any]:
    """Weight and bias of every layer, in the order of the file."""
    import numpy

    draw = numpy.random.default_rng(seed)
    x = forward.inputs(shown())
    for block, depth in DEPTHS.items():
        for index in range(1, depth + 1):
            weight = convolution(draw, f"conv{block}_{index}", WIDTHS[block], len(x))
            bias = numpy.zeros(len(weight), "float32")
            if (block, index) == (3, 1):
                bias[COLOURS + DIRECTIONS : COLOURS + 2 * DIRECTIONS] = -LIMIT
            yield weight
            yield bias
            x = forward.convolved(weight, bias, x)
        x = forward.pooled(x)
    x = x.transpose(1, 0, 2, 3)
    code = x.reshape(len(x), -1)
    for weight, above, scale in ((first_sums(draw, x), 0.0, 1.0), (None, ABOVE, SCALE)):
        mean = code.mean(axis=0)
        if weight is None:
            weight = second_sums(draw, code - mean)
        weight *= scale / ((code - mean) @ weight.T).std()
        bias = -(weight @ mean) - above * scale
        yield weight
        yield bias
        code = forward.dense(weight, bias, code)
    yield normal(draw, (1000, CODE))
    yield numpy.zeros(1000, "float32")


def shown() -> list[made.Scene]:
    """Made pictures: every shape in every colour twice, on each ground as often as on the others."""
    kinds = [list(one) for one in (made.SHAPES, made.COLOURS, made.GROUNDS)]
    found = made.scenes(len(kinds[0]) * len(kinds[1]) * len(kinds[2]))
    named = [(scene, (scene.shape, scene.colour, scene.ground)) for scene in found]
    return [s for s, names in named if sum(kind.index(name) for kind, name in zip(kinds, names, strict=True)) % 3 < 2]


def normal(draw: Any, shape: tuple[int, ...]) -> Any:
    """Random weights with He's scale for such a layer."""
    fan_in = 1
    for length in shape[1:]:
        fan_in *= length
    array = draw.standard_normal(shape, dtype="float32")
    array *= (2 / fan_in) ** 0.5
    return array


def convolution(draw: Any, name: str, outputs: int, inputs: int) -> Any:
    """The weight (outputs, inputs, 3, 3) of a layer: channels by hand first, then random ones with a mean of 0."""
    weight = normal(draw, (outputs, inputs, 3, 3)) * RANDOM_GAIN
    weight -= weight.mean(axis=(1, 2, 3), keepdims=True)
    by_hand = {
        "conv1_1": _colours,
        "conv1_2": _blurred,
        "conv2_1": _edges,
        "conv2_2": _directions,
        "conv3_1": _twice,
        "conv3_2": _limited,
    }
    by_hand.get(name, _as_they_are)(weight)
    return weight


def _as_they_are(weight: Any, channels: int = COLOURS + DIRECTIONS) -> None:
    weight[:channels] = 0
    for channel in range(channels):
        weight[channel, channel, 1, 1] = 1


def _colours(weight: Any) -> None:
    """Means of 3 x 3 pixels; the inputs are blue, green and red."""
    mixes = ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1 / 3, 1 / 3, 1 / 3), (0, -1, 1), (1, -0.5, -0.5))
    for number, mix in enumerate(mixes):
        for plane, part in enumerate(mix):
            weight[2 * number, plane] = part / 9 / CONTRAST
            weight[2 * number + 1, plane] = -part / 9 / CONTRAST
    weight[COLOURS:] /= CONTRAST


def _blurred(weight: Any) -> None:
    import numpy

    _as_they_are(weight, COLOURS)
    for plane in range(PLANES):
        weight[plane, plane] = numpy.outer((1, 2, 1), (1, 2, 1)) / 16


def _edges(weight: Any) -> None:
    """Channel 12 + 6 * direction + 2 * plane + way; a plane is what is above its mean less what is below."""
    import numpy

    _as_they_are(weight, COLOURS)
    weight[COLOURS : COLOURS + 6 * DIRECTIONS] = 0
    upright = numpy.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    slanting = numpy.array([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]) / 4
    for direction, kernel in enumerate((upright, slanting, upright.T, slanting[:, ::-1])):
        for plane in range(3):
            for way, sign in enumerate((1, -1)):
                channel = COLOURS + 6 * direction + 2 * plane + way
                weight[channel, 2 * plane] = sign * kernel
                weight[channel, 2 * plane + 1] = -sign * kernel


def _directions(weight: Any) -> None:
    _as_they_are(weight, COLOURS)
    for direction in range(DIRECTIONS):
        along, across = (COLOURS + 6 * (direction + turn) for turn in (0, 2))
        if across >= COLOURS + 6 * DIRECTIONS:
            across -= 6 * DIRECTIONS
        channel = weight[COLOURS + direction]
        channel[:] = 0
        channel[along : along + 6, 1, 1] = 1
        channel[across : across + 6, 1, 1] = -ACROSS


def _twice(weight: Any) -> None:
    """The directions once more; their bias takes LIMIT away there."""
    hand = COLOURS + DIRECTIONS
    _as_they_are(weight)
    weight[hand : hand + DIRECTIONS] = 0
    for direction in range(DIRECTIONS):
        weight[hand + direction, COLOURS + direction, 1, 1] = 1


def _limited(weight: Any) -> None:
    _as_they_are(weight)
    for direction in range(DIRECTIONS):
        weight[COLOURS + direction, COLOURS + DIRECTIONS + direction, 1, 1] = -1


def first_sums(draw: Any, x: Any) -> Any:
    """fc6's weight for activations like x, (pictures, 512, 7, 7): each row sums every channel over all cells, more or
    less in the middle, with factors of its own.

    The sums of a channel over a picture count as if their deviation were 1, times a gain that was found by trying.
    """
    import numpy

    channels = x.shape[1]
    hand = COLOURS + DIRECTIONS
    far = numpy.abs(numpy.arange(PLACES) - PLACES // 2)
    far = numpy.maximum(far[:, None], far[None, :])
    weight = numpy.zeros((CODE, channels, PLACES, PLACES), "float32")
    gain = numpy.full(channels, 0.5 * (hand / channels) ** 0.5)
    gain[:PLANES], gain[PLANES:COLOURS], gain[COLOURS:hand] = 0.2, 1, 2.5
    gain[list(LIGHT)] = 2
    # Beyond the picture is its mean, which makes an edge all around.
    light = numpy.isin(numpy.arange(channels), LIGHT)[:, None, None]
    for where in (far < PLACES // 2, far <= 1, (far == PLACES // 2) & light):
        spread = (x * where).sum(axis=(2, 3)).std(axis=0) + FLOOR
        factors = draw.standard_normal((CODE, channels), dtype="float32") * (gain / spread).astype("float32")
        weight += factors[:, :, None, None] * where
    return weight.reshape(CODE, -1)


def second_sums(draw: Any, code: Any) -> Any:
    """fc7's weight for what differs in the codes of fc6, (pictures, 4096): random sums of its principal components.

    The large components count less than they are, by the root. Dropout takes away half of the numbers of a code while
    training, which a sum of all of them in the direction of a component hardly notices.
    """
    import numpy

    _left, lengths, components = numpy.linalg.svd(code, full_matrices=False)
    components = components[:COMPONENTS] / lengths[:COMPONENTS, None] ** 0.5
    return draw.standard_normal((CODE, COMPONENTS), dtype="float32") @ components
