"""Kind and size from the header of a picture, and the reasons why a file is not usable."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from types import ModuleType

import pytest

DOUBLE = "it is an AppleDouble file, which a Mac leaves beside the real one"
NUMBERS = "it is damaged: width, height and maximum are not in its first 4096 bytes"
ENDS = "it is truncated: the file ends before the header of the %s does"
LATE = "it is damaged: no frame header (SOF) in the first 2000 segments of the JPEG"
BOMB = "its header asks for 100000 x 100000 pixels, more than the 178956970 that are decoded (a decompression bomb)"
STRIP = "and no side may have more than 699050: resizing it would need too much memory (a decompression bomb)"
APPLE = "it is a PNG in the format of iPhone programs (CgBI), which other programs cannot read"
NO_FRAME = "it is damaged: the JPEG has no frame header (SOF) before its pixels"
STRAY = "it is damaged: no marker of the JPEG's header in 65536 bytes"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("pictures.headers")


def png(width: int = 2, height: int = 2, first: bytes = b"IHDR") -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, first, width, height) + bytes(9)


def jpeg(width: int = 3, height: int = 2, before: bytes = b"") -> bytes:
    return b"\xff\xd8" + before + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(12)


@pytest.mark.parametrize(
    ("content", "result"),
    [
        (jpeg(640, 480), ("JPEG", 640, 480)),
        (jpeg(before=b"\xff\xe0\x00\x04ab\xff\xff\xff\xe1\x00\x03c"), ("JPEG", 3, 2)),
        (jpeg(before=b"\xff\xe0\0\2stray\xff\0\xff\xe0\0\2"), ("JPEG", 3, 2)),
        (jpeg().replace(b"\xff\xc0", b"\xff\xc2"), ("JPEG", 3, 2)),
        (jpeg(before=b"\xff\xe2\xff\xff" + bytes(65533)), ("JPEG", 3, 2)),
        (png(7, 5), ("PNG", 7, 5)),
        (png(255, 699050), ("PNG", 255, 699050)),
        (b"P6 1 2 255 abcdef", ("PPM", 1, 2)),
        (b"P5\n# a comment 9\n4 # another\n3\n65535\n", ("PGM", 4, 3)),
        (b"P3 1 1 1\n0 1 1", ("PPM", 1, 1)),
        (b"P2#x\n1 1 1\n0", ("PGM", 1, 1)),
        (b"P4 9 8\n", ("PBM", 9, 8)),
        (b"GIF89a" + struct.pack("<HH", 6, 5) + bytes(9), ("GIF", 6, 5)),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 5, -4), ("BMP", 5, 4)),
        (b"BM" + bytes(12) + struct.pack("<IHH", 12, 5, 4), ("BMP", 5, 4)),
        (b"II*\0" + bytes(9), ("TIFF", None, None)),
        (b"RIFF\1\2\3\4WEBPVP8 ", ("WEBP", None, None)),
        (b"\0\0\0\x18ftypheic", ("HEIF", None, None)),
        (b"\0\0\1\0\2\0", ("ICO", None, None)),
    ],
)
def test_kind_and_size_are_read_from_the_header(module: ModuleType, content: bytes, result: tuple[object, ...]) -> None:
    assert module.header(io.BytesIO(content)) == result


@pytest.mark.parametrize(
    ("content", "fault", "reason"),
    [
        (b"", "empty", "it is empty"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "AppleDouble", DOUBLE),
        (b"\0\5\x16\0", "AppleDouble", DOUBLE),
        (b"<html>404", "no picture", "it is not a picture: it starts with 3c 68 74 6d, and no JPEG, PNG or PPM does"),
        (b"\xff", "no picture", "it is not a picture: it starts with ff, and no JPEG, PNG or PPM does"),
        (b"P6", "truncated", ENDS % "PPM"),
        (b"P6 12", "truncated", ENDS % "PPM"),
        (b"P6 1 1 # never", "truncated", ENDS % "PPM"),
        (b"P6 1 x 255 ", "not decodable", NUMBERS),
        (b"P6 1 1 0 abc", "not decodable", "it is damaged: its header has 0 as the maximum value of a pixel"),
        (b"P6 #" + b"x" * 9999, "not decodable", NUMBERS),
        (b"P6 0 9 255 ", "zero-sized", "it is 0 pixels wide and 9 high: it has no pixels"),
        (jpeg()[:3], "truncated", ENDS % "JPEG"),
        (jpeg()[:8], "truncated", ENDS % "JPEG"),
        (jpeg(before=b"\xff\xe0\xff\xff"), "truncated", ENDS % "JPEG"),
        (b"\xff\xd8\xff\xda\0\2", "not decodable", NO_FRAME),
        (b"\xff\xd8\xff\xe0\0\1", "not decodable", "it is damaged: a segment of the JPEG's header has the length 1"),
        (b"\xff\xd8" + b"\xff" * 70000, "not decodable", STRAY),
        (b"\xff\xd8" + b"\xff\xe0\0\2" * 2001, "not decodable", LATE),
        (jpeg(0, 5), "zero-sized", "it is 0 pixels wide and 5 high: it has no pixels"),
        (png()[:20], "truncated", ENDS % "PNG"),
        (png(first=b"IDAT"), "not decodable", "it is damaged: the first chunk of the PNG is not its header (IHDR)"),
        (png(first=b"CgBI"), "not decodable", APPLE),
        (png(100000, 100000), "decompression bomb", BOMB),
        (png(1, 699051), "decompression bomb", "it is 1 pixels wide and 699051 high, " + STRIP),
        (png(699051, 3), "decompression bomb", "it is 699051 pixels wide and 3 high, " + STRIP),
        (b"GIF89a\1", "truncated", ENDS % "GIF"),
    ],
)  # fmt: skip
def test_reason_why_a_file_is_not_usable(module: ModuleType, content: bytes, fault: str, reason: str) -> None:
    with pytest.raises(module.Unusable) as caught:
        module.header(io.BytesIO(content))
    assert (caught.value.reason, caught.value.fault) == (reason, fault)
    assert str(caught.value) == reason
