"""python -m tests.standin.images DIR [--apple-double] [--empty] [--count N]: a few pictures to caption.

Real JPEGs and PNGs, made without other packages; optionally also two files at which upstream's eval.lua fails: a file
that macOS writes beside a picture (AppleDouble, RFC 1740) and a picture of 0 bytes.
"""

from __future__ import annotations

import argparse
import base64
import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from tests.standin import pictures

# 16 x 16 pixels of one colour, baseline JPEG.
JPEGS = {
    "red": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7"
        "gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8"
        "fHx8fHx8fHz/wAARCAAQABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QA"
        "FQEBAQAAAAAAAAAAAAAAAAAABAb/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCcAEpH/9k="
    ),
    "blue": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7"
        "gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8"
        "fHx8fHx8fHz/wAARCAAQABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QA"
        "FQEBAQAAAAAAAAAAAAAAAAAABAb/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCKAoBn/9k="
    ),
}
APPLE_DOUBLE = bytes.fromhex("00051607 00020000") + b"Mac OS X        " + bytes(58)


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """An RGB picture, the colour a little darker downwards."""
    rows = b"".join(
        b"\0" + bytes(value - value * row // (8 * height) for value in colour) * width for row in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write(folder: Path, count: int = 5, apple_double: bool = False, empty: bool = False) -> list[Path]:
    """Write `count` pictures (red.jpg, blue.jpg, then PNGs) and the requested invalid files; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.jpg": base64.b64decode(text) for name, text in JPEGS.items()}
    for index in range(max(0, count - len(files))):
        name = pictures.colour(index + 1)
        files[f"{index:02}-{name}.png"] = png(64, 48, pictures.COLOURS[name])
    files = dict(list(files.items())[:count])
    if apple_double:
        files["._red.jpg"] = APPLE_DOUBLE
    if empty:
        files["empty.jpg"] = b""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standin.images", description=__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--count", type=int, default=5, metavar="N", help="number of valid pictures")
    parser.add_argument("--apple-double", action="store_true", help="add ._red.jpg")
    parser.add_argument("--empty", action="store_true", help="add empty.jpg, 0 bytes")
    given = parser.parse_args(arguments)
    for path in write(given.dir, given.count, given.apple_double, given.empty):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
