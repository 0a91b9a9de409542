# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A picture as train.lua reads it: 3 x 256 x 256 bytes, exactly as upstream's prepro.py makes them.

prepro.py uses scipy 1.1.0: `imread(path)`, then `imresize(pixels, (256, 256))`. What those two do by way of Pillow is
done here with Pillow alone. They are followed in their surprises too: grey of more than 8 bits is stretched from its
least to its largest value, and the first axis of length 3 is taken for the channels, also where it is the height or the
width. Where prepro.py ends with an error (four channels, or grey with alpha), the picture is converted to RGB instead.

Runs under Python 2.7 and 3. Needs Pillow, and numpy for grey of more than 8 bits.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import logging
import re
import warnings

from .headers import MOST_PIXELS, Unusable, header, kind_of
from .files import opened
from ..host.texts import as_text

VERSION = 1
"""Changes whenever the same file would give other bytes."""
SIDE = 256
BYTES = 3 * SIDE * SIDE
"""Of one picture."""
BILINEAR = 2
"""Pillow's number of that filter, the same in all its versions."""
FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "WEBP": "WEBP", "PPM": "PPM",
           "PGM": "PPM", "PBM": "PPM"}  # fmt: skip
"""Kinds of pictures that are decoded, and Pillow's name of each. No decoder of these starts a program."""
WIDE = ("I", "F")
"""How Pillow's modes of one channel of more than 8 bits begin: I, I;16, I;16B, F."""


def read(path):
    """The picture of a file as bytes: red, green, blue, each row by row. Unusable where it cannot be decoded whole."""
    return decode(path)[0]


def decode(path):
    """(bytes as `read` gives them, whether the picture had to be converted because prepro.py would have failed)."""
    with opened(path) as file, silence():
        try:
            image, converted = as_imread(loaded(file))
            return planes(small(image)), converted
        except Unusable:
            raise
        except Exception as error:  # a decoder that is given a damaged file may raise anything
            raise why(file, error)


def import_early():
    """Import Pillow, so that processes forked later have it. If it is missing, later calls report that."""
    with silence():
        try:
            from PIL import Image

            Image.preinit()
        except Exception:  # also one that is there and cannot be loaded
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
    """Pillow's image of an open file, decoded; of an animation the first frame. Refuses before it decodes."""
    import PIL
    from PIL import Image

    kind = kind_of(file.read(32))
    if kind not in FORMATS:
        raise unknown(kind)
    file.seek(0)
    if FORMATS[kind] not in Image.OPEN:
        Image.init()  # Pillow imports some of its decoders only when asked
    # Older Pillows take no list of formats. They choose by the first bytes, too, and these are of a kind above.
    if int(PIL.__version__.split(".")[0]) < 8:
        image = Image.open(file)
    else:
        image = Image.open(file, formats=[FORMATS[kind]])
    width, height = image.size
    if width < 1 or height < 1:
        raise Unusable("it is %d pixels wide and %d high: it has no pixels" % (width, height), "zero-sized")
    if width * height > MOST_PIXELS:
        words = "its header asks for %d x %d pixels, more than the %d that are decoded (a decompression bomb)"
        raise Unusable(words % (width, height, MOST_PIXELS), "decompression bomb")
    image.load()
    return image


def unknown(kind):
    """Return the Unusable for a picture whose kind is not in FORMATS."""
    return Unusable("it is a picture of the type %s, which is not supported: save it as JPEG or PNG" % kind)


def as_imread(image):
    """(the L or RGB image that scipy's `imread` and `toimage` hand on to be resized, whether it was converted)."""
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
        # The numbers as they are, also those of YCbCr and LAB, which a TIFF may have.
        return image if image.mode == "RGB" else Image.frombytes("RGB", image.size, image.tobytes()), False
    return opaque(image), True


def opaque(image):
    """An image with alpha, or of four colours, as RGB; alpha is dropped, as image.load(path, 3) drops it."""
    if image.mode in ("PA", "RGBa", "La"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    return image.convert("RGB")


def rows_as_channels(data, row):
    """Three rows of pixels as the channels of one picture; `row` is the bytes of a row."""
    woven = bytearray(3 * row)
    for channel in range(3):
        woven[channel::3] = data[channel * row : (channel + 1) * row]
    return bytes(woven)


def columns_as_channels(data, channels):
    """Three columns of pixels as the channels of one picture."""
    woven = bytearray(len(data))
    for column in range(3):
        for channel in range(channels):
            woven[channel * 3 + column :: 3 * channels] = data[column * channels + channel :: 3 * channels]
    return bytes(woven)


def stretched(image):
    """One channel of more than 8 bits as bytes, from 0 for the least value to 255 for the largest.

    As scipy's `bytescale` under numpy 1.16, where a float32 stays one whatever it is multiplied by.
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
    """An image as 256 x 256 pixels, first in its width and then in its height.

    Pillow's newer versions turn that order round where it is faster, and each step rounds.
    """
    width, height = image.size
    if width < SIDE < height:
        image = image.resize((SIDE, height), BILINEAR)
    return image.resize((SIDE, SIDE), BILINEAR)


def planes(image):
    """The bytes of a small L or RGB image, channel by channel; grey three times."""
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
        return Unusable("it begins as a %s does, but is damaged: its header cannot be read" % kind)
    return Unusable(
        "it is damaged, or a variant of %s that is not supported (%s)" % (kind, message or type(error).__name__)
    )
