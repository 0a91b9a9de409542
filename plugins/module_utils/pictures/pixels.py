# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Decodes a picture as train.lua reads it: 3 x 256 x 256 bytes, exactly those of upstream's prepro.py.

prepro.py uses scipy 1.1.0: `imread(path)`, then `imresize(pixels, (256, 256))`. These two call Pillow; here Pillow is
called directly. Their unexpected behaviour is kept: grey of more than 8 bits is scaled from its lowest to its highest
value, and the first axis of length 3 is used as the channels, also if it is the height or the width. If prepro.py ends
with an error (four channels, or grey with alpha), the picture is converted to RGB instead.

Runs under Python 2.7 and 3. Needs Pillow, and numpy for grey of more than 8 bits.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import logging
import re
import warnings

from .headers import Unusable, header, kind_of, refuse_size
from .files import opened
from ..host.texts import as_text

VERSION = 1
"""Increased whenever the same file would give other bytes."""
SIDE = 256
BYTES = 3 * SIDE * SIDE
"""Size of one picture in bytes."""
BILINEAR = 2
"""Pillow's number for this filter in all versions."""
FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "WEBP": "WEBP", "PPM": "PPM",
           "PGM": "PPM", "PBM": "PPM"}  # fmt: skip
"""{kind of picture that is decoded: Pillow's name for it}. None of these decoders starts a program."""
WIDE = ("I", "F")
"""First letters of Pillow's modes with one channel of more than 8 bits: I, I;16, I;16B, F."""


def read(path):
    """Return a picture as bytes: red, green, blue, each row by row. Raises Unusable if it cannot be fully decoded."""
    return decode(path)[0]


def decode(path):
    """Return (the bytes of `read`, whether the picture was converted because prepro.py would have failed)."""
    with opened(path) as file, silence():
        try:
            image, converted = as_imread(loaded(file))
            return planes(small(image)), converted
        except Unusable:
            raise
        except Exception as error:  # decoders may raise anything for a damaged file
            raise why(file, error)


def import_early():
    """Import Pillow, so that processes forked later have it. If it is missing, later calls report that."""
    with silence():
        try:
            from PIL import Image

            Image.preinit()
        except Exception:  # also if it is installed but cannot be loaded
            pass


@contextlib.contextmanager
def silence():
    """Suppress the warnings of Pillow on stderr: damaged EXIF, large pictures, unknown tags."""
    logger = logging.getLogger("PIL")
    if logger.propagate:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def loaded(file):
    """Return Pillow's decoded image of an open file (the first frame). Kind and size are checked before decoding."""
    import PIL
    from PIL import Image

    kind = kind_of(file.read(32))
    if kind not in FORMATS:
        raise unknown(kind)
    file.seek(0)
    if FORMATS[kind] not in Image.OPEN:
        Image.init()  # Pillow imports some decoders only in init()
    # Older versions of Pillow have no argument `formats`. They also choose by the first bytes, which were checked.
    if int(PIL.__version__.split(".")[0]) < 8:
        image = Image.open(file)
    else:
        image = Image.open(file, formats=[FORMATS[kind]])
    refuse_size(*image.size)
    image.load()
    return image


def unknown(kind):
    """Return the Unusable for a picture whose kind is not in FORMATS."""
    return Unusable("it is a picture of the type %s, which is not supported: save it as JPEG or PNG" % kind)


def as_imread(image):
    """Return (the L or RGB image that scipy's `imread` and `toimage` would resize, whether it was converted)."""
    from PIL import Image

    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode.startswith(WIDE):
        return Image.frombytes("L", image.size, stretched(image)), False
    width, height = image.size
    channels = len(image.getbands())
    if channels == 1:
        return image, False
    if height == 3:
        return Image.frombytes("RGB", (channels, width), rows_as_channels(image.tobytes(), channels * width)), False
    if width == 3:
        return Image.frombytes("RGB", (channels, height), columns_as_channels(image.tobytes(), channels)), False
    if channels == 3:
        # The values are not converted, also those of YCbCr and LAB, which a TIFF may have.
        return image if image.mode == "RGB" else Image.frombytes("RGB", image.size, image.tobytes()), False
    return opaque(image), True


def opaque(image):
    """Return an image with alpha or four colours as RGB. Alpha is dropped, as by image.load(path, 3)."""
    if image.mode in ("PA", "RGBa", "La"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    return image.convert("RGB")


def rows_as_channels(data, row):
    """Return the bytes of a picture whose channels are three rows of pixels, of `row` bytes each."""
    picture = bytearray(3 * row)
    for channel in range(3):
        picture[channel::3] = data[channel * row : (channel + 1) * row]
    return bytes(picture)


def columns_as_channels(data, channels):
    """Return the bytes of a picture whose channels are three columns of pixels."""
    picture = bytearray(len(data))
    for column in range(3):
        for channel in range(channels):
            picture[channel * 3 + column :: 3 * channels] = data[column * channels + channel :: 3 * channels]
    return bytes(picture)


def stretched(image):
    """Return one channel of more than 8 bits as bytes, from 0 for the lowest value to 255 for the highest.

    It computes like scipy's `bytescale` under numpy 1.16, where the product of a float32 and a scalar is a float32.
    """
    import numpy

    data = numpy.asarray(image)
    kind = numpy.dtype("float32" if data.dtype.kind == "f" else "float64").type
    with numpy.errstate(all="ignore"):
        least = data.min()
        span = kind(data.max()) - kind(least)
        scale = kind(255.0 / (float(span) or 1.0))
        scaled = (data.astype(kind) - kind(least)) * scale
        scaled = scaled.clip(0, 255) + kind(0.5)
    return numpy.where(numpy.isnan(scaled), kind(0), scaled).astype(numpy.uint8).tobytes()


def small(image):
    """Return an image resized to 256 x 256 pixels, first its width and then its height.

    Newer versions of Pillow reverse that order if it is faster, which gives other values, because each step rounds.
    """
    width, height = image.size
    if width < SIDE < height:
        image = image.resize((SIDE, height), BILINEAR)
    return image.resize((SIDE, SIDE), BILINEAR)


def planes(image):
    """Return the bytes of a small L or RGB image, channel by channel; grey is repeated three times."""
    if image.mode == "L":
        return image.tobytes() * 3
    return b"".join([image.tobytes("raw", channel) for channel in "RGB"])


def why(file, error):
    """Return the Unusable for an error of a decoder."""
    kind = "picture"
    try:
        file.seek(0)
        kind = header(file)[0]
    except Unusable as known:
        return known
    except (IOError, OSError, ValueError):
        pass
    if isinstance(error, MemoryError):
        return Unusable("it needs more memory than is available")
    if isinstance(error, (IOError, OSError)) and error.errno:
        return Unusable("it cannot be read: %s" % as_text(error.strerror), "unreadable")
    message = re.sub(r"[^ -~]+", "?", as_text(str(error)).splitlines()[0])[:200] if str(error) else ""
    if "truncated" in message or isinstance(error, EOFError):
        return Unusable("it is truncated: the file ends before its pixels do", "truncated")
    if message.startswith("cannot identify"):
        return Unusable("it begins like a %s, but is damaged: its header cannot be read" % kind)
    return Unusable(
        "it is damaged, or a variant of %s that is not supported (%s)" % (kind, message or type(error).__name__)
    )
