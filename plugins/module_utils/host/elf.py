# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The versions of symbols that a library of this host defines. Reads 64-bit little-endian ELF files, within limits.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import struct

from ..rules.runtime import MOST_VERSIONS, VERSION

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_DEFINITION = struct.Struct("<HHHHIII")
_NAME = struct.Struct("<II")
_VERSIONS = 0x6FFFFFFD
"""The type of the section with the versions that a library defines (SHT_GNU_verdef)."""
LARGEST = 16 << 20
"""The most bytes of a section that is read."""


def defined_versions(path):
    """The versions of symbols that a library defines, sorted; None if the file is no such library."""
    try:
        with io.open(path, "rb") as file:
            return _versions(file)
    except (EnvironmentError, ValueError, struct.error, IndexError, OverflowError):
        return None


def _versions(file):
    header = _HEADER.unpack(_read(file, 0, _HEADER.size))
    if header[0][:6] != b"\x7fELF\x02\x01":
        return None
    offset, size, count = header[6], header[11], header[12]
    if size != _SECTION.size or count > 1000:
        return None
    table = _read(file, offset, size * count)
    sections = [_SECTION.unpack_from(table, number * size) for number in range(count)]
    found = set()
    for section in sections:
        if section[1] == _VERSIONS:
            strings = sections[section[6]]
            names = _read(file, strings[4], strings[5])
            found.update(_names(_read(file, section[4], section[5]), section[7], names))
    return sorted(found)


def _read(file, offset, size):
    if size > LARGEST:
        raise ValueError("too large")
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("it ends early")
    return data


def _names(data, count, strings):
    """Yield the names of the definitions in a section. The first one, the library itself, is one too."""
    offset = 0
    for _number in range(min(count, MOST_VERSIONS)):
        definition = _DEFINITION.unpack_from(data, offset)
        start = _NAME.unpack_from(data, offset + definition[5])[0]
        name = strings[start : strings.index(b"\0", start)].decode("ascii", "replace")
        if VERSION.match(name):
            yield str(name)
        if not definition[6]:
            break
        offset += definition[6]
