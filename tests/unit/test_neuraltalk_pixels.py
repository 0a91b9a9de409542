"""A picture is decoded to the same bytes as by upstream's prepro.py; if that fails, the reason is reported."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from neuraltalk_provision import paths
from tests.standin.images import APPLE_DOUBLE, JPEGS

Load = Callable[[str], ModuleType]


def sample(length: int) -> bytes:
    """Return bytes that are the same on every machine and have no pattern."""
    return bytes((place * 37 + (place >> 4) * 91 + place * place // 97) & 255 for place in range(length))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, colour: int, depth: int = 8, more: bytes = b"") -> bytes:
    """A PNG of `sample` bytes; colour 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA."""
    row = (width * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth + 7) // 8
    data = sample(row * height)
    if colour == 3 and depth == 8:
        data = bytes(byte % 40 for byte in data)
    rows = b"".join(b"\0" + data[at : at + row] for at in range(0, len(data), row or 1))
    if colour == 3:
        more = chunk(b"PLTE", sample(3 * (40 if depth == 8 else 1 << depth))) + more
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    ends = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + ends


def tiff(width: int, height: int, bits: int, form: int, data: bytes, channels: int = 1) -> bytes:
    """A plain TIFF; form 1 unsigned, 2 signed, 3 float."""
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 2 if channels == 3 else 1), (273, 8)]
    tags += [(277, channels), (278, height), (279, len(data)), (339, form)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def floats(count: int) -> bytes:
    return struct.pack(f"<{count}f", *(value * value / 1000 - 7 for value in sample(count)))


def integers(count: int) -> bytes:
    return struct.pack(f"<{count}i", *(value * 70001 - 900000 for value in sample(count)))


def bmp(width: int, height: int) -> bytes:
    """A BMP of 24 bits."""
    data = sample((width * 3 + 3) // 4 * 4 * height)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + head + data


SEEN_THROUGH = chunk(b"tRNS", bytes(range(0, 80, 2)))
GOOD = {
    "rgb": (png(37, 29, 2), "0256f70e3b457839"),
    "rgb, wide": (png(300, 20, 2), "58741a67dd0ccd77"),
    "rgb, high, which newer Pillows resize in another order": (png(20, 300, 2), "388ea2d1ba26cb74"),
    "rgb, larger": (png(301, 299, 2), "7e47b0889de5886e"),
    "rgb, as it is": (png(256, 256, 2), "a124107e6d0b5334"),
    "rgb, 1 x 1": (png(1, 1, 2), "33435220f0ccf2f8"),
    "rgb, 3 high": (png(50, 3, 2), "27a87a1169e29749"),
    "rgb, 3 wide": (png(3, 50, 2), "c5d8345cb03783b3"),
    "rgb, 3 x 3": (png(3, 3, 2), "ea1c2368ada104c3"),
    "rgb, 4 high": (png(50, 4, 2), "37cbc6f08400e5f7"),
    "rgb, 16 bits": (png(31, 33, 2, 16), "cdf908d57f1ab791"),
    "rgb with a transparent colour": (png(31, 33, 2, more=chunk(b"tRNS", b"\0\1\0\2\0\3")), "03b809e88b42f9e5"),
    "grey": (png(37, 29, 0), "0dc35215147018ab"),
    "grey, 3 high": (png(50, 3, 0), "4f2a705f803ba0d0"),
    "grey, 3 wide": (png(3, 50, 0), "8741465299fbcc2c"),
    "grey, 1 bit": (png(37, 29, 0, 1), "6fc165899f58f80b"),
    "grey, 2 bits": (png(37, 29, 0, 2), "f2bc9b6eb167adfe"),
    "grey, 4 bits": (png(37, 29, 0, 4), "ac01cbe8ab27eda2"),
    "grey, 16 bits": (png(37, 29, 0, 16), "9594411645c5e220"),
    "grey, 16 bits, one value": (png(1, 1, 0, 16), "3381de4ca9f3a477"),
    "palette": (png(37, 29, 3), "fe4beb28afe02a5f"),
    "palette, 1 bit": (png(37, 29, 3, 1), "c5357538602a8263"),
    "palette, 3 high": (png(50, 3, 3), "b87934f40ad4a344"),
    "rgba, 3 high": (png(50, 3, 6), "e9aee326c98c084c"),
    "rgba, 3 wide": (png(3, 50, 6), "f471db503a5b32b5"),
    "grey with alpha, 3 high": (png(50, 3, 4), "14ba7403a4f14d5a"),
    "palette with transparency, 3 wide": (png(3, 50, 3, more=SEEN_THROUGH), "5860306c79c15804"),
    "bmp": (bmp(37, 29), "4ffdc6b0072ed312"),
    "ppm": (b"P6 37 29 255\n" + sample(37 * 29 * 3), "0256f70e3b457839"),
    "pgm": (b"P5 37 29 255\n" + sample(37 * 29), "0dc35215147018ab"),
    "pgm, 16 bits": (b"P5 37 29 65535\n" + sample(37 * 29 * 2), "9594411645c5e220"),
    "tiff": (tiff(37, 29, 8, 1, sample(37 * 29)), "0dc35215147018ab"),
    "tiff, 16 bits": (tiff(37, 29, 16, 1, sample(37 * 29 * 2)), "3b8f1758b384df77"),
    "tiff, 32 bits with sign": (tiff(37, 29, 32, 2, integers(37 * 29)), "0dc35215147018ab"),
    "tiff, float": (tiff(37, 29, 32, 3, floats(37 * 29)), "f71900351828da75"),
    "tiff, float, with what is no number": (
        tiff(2, 2, 32, 3, struct.pack("<4f", 1, float("nan"), 3, 4)),
        "3381de4ca9f3a477",
    ),
}
"""Pictures, and the start of the sha256 of prepro.py's result (numpy 1.16.6, scipy 1.1.0, Pillow 6.2.2)."""

RGBA = png(37, 29, 6)
CONVERTED = {
    "rgba": RGBA,
    "grey with alpha": png(37, 29, 4),
    "grey with alpha, 4 high": png(50, 4, 4),
    "palette with transparency": png(37, 29, 3, more=SEEN_THROUGH),
    "palette, one colour transparent": png(37, 29, 3, 2, chunk(b"tRNS", b"\xff\0")),
}
BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"<html>not found</html>", "it is not a picture"),
    "AppleDouble": (APPLE_DOUBLE, "AppleDouble"),
    "JPEG, its header alone": (base64.b64decode(JPEGS["red"])[:20], "truncated"),
    "JPEG, cut": (base64.b64decode(JPEGS["red"])[:-60], "truncated"),
    "PNG, cut in its header": (RGBA[:20], "truncated"),
    "PNG, cut in its pixels": (RGBA[:200], "truncated"),
    "PNG, damaged": (RGBA[:100] + bytes(60) + RGBA[160:], "damaged"),
    "PNG, no pixels": (png(0, 5, 2), "no pixels"),
    "PNG, a bomb": (RGBA[:16] + struct.pack(">II", 100_000, 100_000) + RGBA[24:], "bomb"),
    "PNG, text that unpacks to 4 MB": (
        png(2, 2, 2, more=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(4_000_000), 1))), "too large",
    ),
    "GIF, damaged": (b"GIF89a" + bytes(range(1, 40)), ""),
    "BMP, cut": (bmp(37, 29)[:100], "truncated"),
    "TIFF, cut": (tiff(37, 29, 8, 1, sample(37 * 29))[:90], ""),
    "TIFF, a bomb": (tiff(60_000, 60_000, 8, 1, bytes(10)), "bomb"),
    "TIFF, a strip that becomes huge when it is resized": (tiff(700_000, 3, 8, 1, bytes(10)), "too much memory"),
    "EPS, which Pillow hands to a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
    "HEIF": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIF"),
    "WEBP, damaged": (b"RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0\1\2\3\4", ""),
}  # fmt: skip


@pytest.fixture
def pixels(load: Load) -> ModuleType:
    return load("pictures.pixels")


def write(folder: Path, data: bytes) -> str:
    file = folder / "a picture's \n name"
    file.write_bytes(data)
    return str(file)


@pytest.mark.parametrize("name", GOOD)
def test_picture_has_the_bytes_of_prepro_py(pixels: ModuleType, tmp_path: Path, name: str) -> None:
    data, digest = GOOD[name]
    made, converted = pixels.decode(write(tmp_path, data))
    assert len(made) == 3 * 256 * 256
    assert hashlib.sha256(made).hexdigest().startswith(digest)
    assert not converted


@pytest.mark.parametrize("name", CONVERTED)
def test_picture_on_which_prepro_py_fails_only_loses_its_alpha(pixels: ModuleType, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, CONVERTED[name])
    made, converted = pixels.decode(path)
    assert converted
    with Image.open(path) as image:
        plain = image.convert("RGBA").convert("RGB")
    plain.save(tmp_path / "plain.png")
    assert made == pixels.read(str(tmp_path / "plain.png"))


def test_cmyk_becomes_rgb(pixels: ModuleType, tmp_path: Path) -> None:
    Image.new("CMYK", (20, 10), (255, 0, 255, 0)).save(tmp_path / "green.jpg")
    made, converted = pixels.decode(str(tmp_path / "green.jpg"))
    assert converted
    red, green, blue = (made[channel * 65536 + 30_000] for channel in range(3))
    assert (red < 5, green > 250, blue < 5) == (True, True, True)


def test_jpeg_is_red_green_blue_plane_by_plane(pixels: ModuleType, tmp_path: Path) -> None:
    made = pixels.read(write(tmp_path, base64.b64decode(JPEGS["red"])))
    assert made[30_000] > 200 > 60 > max(made[65536 + 30_000], made[131072 + 30_000])


def test_first_frame_of_an_animation_is_decoded(pixels: ModuleType, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), colour).quantize(4) for colour in ("#f00", "#0f0", "#00f")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    made = pixels.read(str(tmp_path / "moving.gif"))
    assert (made[:9], made[65536:65545], made[131072:131081]) == (b"\xff" * 9, bytes(9), bytes(9))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_picture_has_a_reason_and_prints_nothing(
    pixels: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    data, words = BROKEN[name]
    with pytest.raises(pixels.Unusable) as caught:
        pixels.read(write(tmp_path, data))
    assert words.lower() in caught.value.reason.lower()
    assert "\n" not in caught.value.reason
    assert capfd.readouterr() == ("", "")


def test_damaged_exif_and_a_large_picture_print_no_warning(
    pixels: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = Image.new("1", (10_000, 9_000))  # more than Pillow's MAX_IMAGE_PIXELS, less than a bomb
    image.save(tmp_path / "large.png")
    Image.new("RGB", (20, 10)).save(tmp_path / "exif.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert pixels.read(str(tmp_path / "large.png")) == pixels.read(str(tmp_path / "exif.jpg"))
    assert capfd.readouterr() == ("", "")


def test_file_that_is_not_ordinary_is_refused_at_once(pixels: ModuleType, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), tmp_path / "none", tmp_path / "nul\0"):
        with pytest.raises(pixels.Unusable):
            pixels.read(str(path))


def test_decoders_that_start_programs_are_not_used(pixels: ModuleType) -> None:
    assert set(pixels.FORMATS.values()) == {"JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"}


def test_pillow_is_imported_when_a_picture_is_read_and_not_before() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from module_utils.pictures import pixels\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'PIL', 'numpy', 'h5py'}))\n"
    )
    argv = [sys.executable, "-c", program, str(paths.plugins())]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "[]\n"
