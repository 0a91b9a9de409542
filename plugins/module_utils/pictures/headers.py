# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Reads the kind of a picture from its first bytes, and its width and height if they are in the header.

No pixel is decoded. The size is read for the kinds that image.load reads (JPEG, PNG, PPM, PGM) and for those with the
size at a fixed position. For other kinds only the kind is returned.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import struct

MOST_PIXELS = 178956970
"""Pixels above which Pillow refuses a picture as a decompression bomb: twice its MAX_IMAGE_PIXELS."""
LONGEST_SIDE = MOST_PIXELS // 256
"""Pixels of a side above which a picture is refused. Between the two steps of resizing a narrow one, it is 256 wide."""
LOADED = ("JPEG", "PNG", "PPM", "PGM")
"""The kinds that image.load reads. The name of the file does not matter."""
MOST_SEGMENTS = 2000
"""Maximum number of segments of a JPEG's header that are skipped; a colour profile of some MB has hundreds."""
STRAY = 1 << 16
"""Maximum number of bytes between two segments of a JPEG's header that are skipped."""
PLAIN_HEADER = 4096
"""The numbers in the header of a PPM or PGM, with all comments between them, must be in its first bytes."""
APPLE_DOUBLE = (b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")
NETPBM = {b"P2": "PGM", b"P3": "PPM", b"P5": "PGM", b"P6": "PPM", b"P1": "PBM", b"P4": "PBM"}
BEGINNINGS = (
    (re.compile(r"\xff\xd8\xff".encode("ascii")), "JPEG"),
    (re.compile(r"\x89PNG\r\n\x1a\n".encode("ascii")), "PNG"),
    (re.compile(r"GIF8[79]a".encode("ascii")), "GIF"),
    (re.compile(r"BM.{4}\0\0\0\0".encode("ascii"), re.S), "BMP"),
    (re.compile(r"II\*\0|MM\0\*|II\+\0|MM\0\+".encode("ascii")), "TIFF"),
    (re.compile(r"RIFF.{4}WEBP".encode("ascii"), re.S), "WEBP"),
    (re.compile(r".{4}ftyp(?:hei[cfmsx]|hev[cx]|mif1|msf1)".encode("ascii"), re.S), "HEIF"),
    (re.compile(r".{4}ftypavi[fs]".encode("ascii"), re.S), "AVIF"),
    (re.compile(r"\0\0\x01\0[^\0]".encode("ascii")), "ICO"),
    (re.compile(r"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51".encode("ascii")), "JPEG 2000"),
)
FRAMES = frozenset(range(0xC0, 0xD0)) - frozenset((0xC4, 0xC8, 0xCC))
"""Markers of a JPEG whose segment contains the width and height."""
ALONE = frozenset([0x01] + list(range(0xD0, 0xD8)))
"""Markers without a length after them."""
_NUMBER = re.compile(r"(?:\s|#[^\r\n]*[\r\n])+([0-9]{1,18})(?=\s)".encode("ascii"))


class Unusable(Exception):  # noqa: N818  (it describes a file)
    """A file that cannot be used as a picture: `reason` for the user, and `fault`, the kind by which it is counted."""

    def __init__(self, reason, fault="not decodable"):
        super(Unusable, self).__init__(reason)
        self.reason = reason
        self.fault = fault


def kind_of(head):
    """Return the kind of a picture from its first bytes (16 are enough). Raises Unusable if it is not a picture."""
    if not head:
        raise Unusable("it is empty", "empty")
    if head.startswith(APPLE_DOUBLE):
        raise Unusable("it is an AppleDouble file, which a Mac leaves beside the real one", "AppleDouble")
    for beginning, kind in BEGINNINGS:
        if beginning.match(head):
            return kind
    if head[:2] in NETPBM and re.match(r"P[1-6](?:[\s#]|$)".encode("ascii"), head):
        return NETPBM[head[:2]]
    message = "it is not a picture: it starts with %s, and no JPEG, PNG or PPM does"
    raise Unusable(message % " ".join("%02x" % byte for byte in bytearray(head[:4])), "no picture")


def header(file):
    """Return (kind, width, height) of a picture, a file open at its start; the size is None if it is not read.

    Raises Unusable if it is not a picture, its header is truncated or damaged, or it has no pixels or too many.
    """
    head = file.read(32)
    kind = kind_of(head)
    if kind == "JPEG":
        width, height = jpeg(file)
    elif kind == "PNG":
        width, height = png(head)
    elif kind in ("PPM", "PGM", "PBM"):
        width, height = netpbm(head + file.read(PLAIN_HEADER))
    elif kind == "GIF":
        width, height = numbers("<HH", head, 6, kind)
    elif kind == "BMP":
        width, height = bmp(head)
    else:
        return kind, None, None
    refuse_size(width, height)
    return kind, width, height


def refuse_size(width, height):
    """Raise Unusable for a picture without pixels, or one that needs too much memory to be decoded or resized."""
    if width <= 0 or height <= 0:
        raise Unusable("it is %d pixels wide and %d high: it has no pixels" % (width, height), "zero-sized")
    if width * height > MOST_PIXELS:
        message = "its header asks for %d x %d pixels, more than the %d that are decoded (a decompression bomb)"
        raise Unusable(message % (width, height, MOST_PIXELS), "decompression bomb")
    if max(width, height) > LONGEST_SIDE:
        message = (
            "it is %d pixels wide and %d high, and no side may have more than %d: resizing it would need too much "
            "memory (a decompression bomb)"
        )
        raise Unusable(message % (width, height, LONGEST_SIDE), "decompression bomb")


def cut_short(kind):
    """Return the Unusable for a file that ends too early."""
    return Unusable("it is truncated: the file ends before the header of the %s does" % kind, "truncated")


def numbers(form, head, place, kind):
    """Return what struct.unpack reads from `head` at `place`. Raises Unusable if the file ends before."""
    if len(head) < place + struct.calcsize(form):
        raise cut_short(kind)
    return struct.unpack_from(form, head, place)


def png(head):
    """Return (width, height) of a PNG from IHDR, which must be the first chunk."""
    length, name, width, height = numbers(">I4sII", head, 8, "PNG")
    if name == b"CgBI":
        raise Unusable("it is a PNG in the format of iPhone programs (CgBI), which other programs cannot read")
    if name != b"IHDR" or length != 13:
        raise Unusable("it is damaged: the first chunk of the PNG is not its header (IHDR)")
    return width, height


def bmp(head):
    """Return (width, height) of a BMP. A negative height in the file means that the first row is the top."""
    (size,) = numbers("<I", head, 14, "BMP")
    width, height = numbers("<HH" if size == 12 else "<ii", head, 18, "BMP")
    return width, abs(height)


def netpbm(head):
    """Return (width, height) of a PPM, PGM or PBM."""
    wanted = 2 if head[:2] in (b"P1", b"P4") else 3
    found = []  # type: list[int]
    place = 2
    while len(found) < wanted:
        match = _NUMBER.match(head, place)
        if not match:
            if len(head) < PLAIN_HEADER and re.match(
                r"(?:\s|#[^\r\n]*[\r\n])*(?:[0-9]*|#[^\r\n]*)\Z".encode("ascii"), head[place:]
            ):
                raise cut_short(NETPBM[head[:2]])
            raise Unusable("it is damaged: width, height and maximum are not in its first %d bytes" % PLAIN_HEADER)
        found.append(int(match.group(1)))
        place = match.end()
    if wanted == 3 and not 0 < found[2] < 65536:
        raise Unusable("it is damaged: its header has %d as the maximum value of a pixel" % found[2])
    return found[0], found[1]


def jpeg(file):
    """Return (width, height) of a JPEG from its first frame header (SOF). Segments before it are skipped."""
    file.seek(2)
    for _segment in range(MOST_SEGMENTS):
        marker = next_marker(file)
        if marker in ALONE:
            continue
        if marker in (0xD9, 0xDA):
            raise Unusable("it is damaged: the JPEG has no frame header (SOF) before its pixels")
        length = numbers(">H", file.read(2), 0, "JPEG")[0]
        if length < 2:
            raise Unusable("it is damaged: a segment of the JPEG's header has the length %d" % length)
        if marker in FRAMES:
            height, width = numbers(">HH", file.read(5), 1, "JPEG")
            return width, height
        file.seek(length - 2, 1)
    raise Unusable("it is damaged: no frame header (SOF) in the first %d segments of the JPEG" % MOST_SEGMENTS)


def next_marker(file):
    """Return the number of the next marker of a JPEG. Other bytes before it are skipped, as decoders do."""
    before = stray = 0
    while stray < STRAY:  # not range, which is a list in memory under Python 2.7
        (byte,) = numbers(">B", file.read(1), 0, "JPEG")
        if before == 0xFF and byte not in (0x00, 0xFF):
            return byte
        before, stray = byte, stray + 1
    raise Unusable("it is damaged: no marker of the JPEG's header in %d bytes" % STRAY)
