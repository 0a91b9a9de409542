"""What the run on the real sources makes itself: pictures with captions, and VGG-16's layers by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy
import pytest
from PIL import Image

from tests.real import forward, made, vgg16


def test_each_36_scenes_show_every_shape_in_every_colour_on_every_ground() -> None:
    shown = made.scenes(72)
    for part in (shown[:36], shown[36:]):
        assert len({(scene.shape, scene.colour, scene.ground) for scene in part}) == 36
    assert len({scene.file for scene in shown}) == 72


def test_a_picture_has_the_colours_that_its_captions_name() -> None:
    scene = made.scenes(1)[0]
    image = Image.open(io.BytesIO(made.encoded(scene, "PNG")))
    assert image.getpixel((0, 0)) == made.GROUNDS[scene.ground]
    assert image.size == scene.size
    assert all({scene.colour, scene.shape, scene.ground} <= set(text.strip(".").split()) for text in scene.captions)


def test_both_files_of_captions_say_the_same(tmp_path: Path) -> None:
    shown = made.write(tmp_path, 3)
    raw = json.loads((tmp_path / "captions.json").read_text(encoding="utf-8"))
    with (tmp_path / "captions.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["file"], row["caption"]) for row in csv.DictReader(file)]
    assert rows == [(entry["file_path"], text) for entry in raw for text in entry["captions"]]
    assert {file for file, _text in rows} == {scene.file for scene in shown}
    assert all((tmp_path / "pictures" / scene.file).is_file() for scene in shown)


def test_a_convolution_is_what_its_definition_says() -> None:
    draw = numpy.random.default_rng(1)
    x = draw.standard_normal((2, 3, 4, 5)).astype("float32")
    weight, bias = draw.standard_normal((6, 2, 3, 3)).astype("float32"), numpy.full(6, 0.1, "float32")
    padded = numpy.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    wanted = numpy.zeros((6, 3, 4, 5))
    for row in range(4):
        for column in range(5):
            seen = padded[:, :, row : row + 3, column : column + 3]
            wanted[:, :, row, column] = numpy.einsum("oikl,ipkl->op", weight, seen) + 0.1
    assert forward.convolved(weight, bias, x) == pytest.approx(numpy.maximum(wanted, 0), abs=1e-5)


@pytest.mark.parametrize(("turn", "direction"), [(0, 0), (1, 2)])
def test_an_edge_is_seen_in_its_direction_only(turn: int, direction: int) -> None:
    picture = numpy.zeros((3, 1, 32, 32), "float32")
    picture[:, :, :, 16:] = 100  # an upright edge
    x = numpy.rot90(picture, turn, axes=(2, 3))
    draw = numpy.random.default_rng(1)
    for name, outputs in (("conv1_1", 64), ("conv1_2", 64), ("conv2_1", 128), ("conv2_2", 128)):
        weight = vgg16.convolution(draw, name, outputs, len(x))
        x = forward.convolved(weight, numpy.zeros(outputs, "float32"), x)
    inside = x[vgg16.COLOURS : vgg16.COLOURS + vgg16.DIRECTIONS, 0, 8:-8, 8:-8].max(axis=(1, 2))
    assert inside.argmax() == direction
    assert inside[(direction + 2) % vgg16.DIRECTIONS] < 1e-5 < inside[direction]


def test_the_mean_is_of_every_shape_in_every_colour_on_each_ground_as_often() -> None:
    shown = vgg16.shown()
    assert len(shown) == 24
    assert len({(scene.shape, scene.colour) for scene in shown}) == 12
    assert {sum(scene.ground == ground for scene in shown) for ground in made.GROUNDS} == {8}
