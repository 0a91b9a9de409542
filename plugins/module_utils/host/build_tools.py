# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Programs and libraries for builds that an administrator installed beside the distribution's.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from .commands import output_of
from .files import read_text
from ..rules.packages import HDF5_LIBRARY, LOCAL

_NUMBER = r"(\d{1,9}(?:\.\d{1,9}){1,3})"
_PROGRAMS = {"cmake": r"cmake3? version " + _NUMBER, "protoc": r"libprotoc " + _NUMBER}
"""{program: its version in the output of --version}."""
_HDF5 = ("H5_VERS_MAJOR", "H5_VERS_MINOR", "H5_VERS_RELEASE")
_LIBRARY = r"HDF5 library version:? " + _NUMBER
# The order in which CMake searches.
_INCLUDED = ("hdf5/serial", "")
_FOLDERS = ("lib/hdf5/serial", "lib", "lib64/hdf5/serial", "lib64")
_PROTOBUF = r"#\s*define\s+GOOGLE_PROTOBUF_VERSION\s+(\d{7,9})\b"


def own(local=LOCAL):
    """{program or library: version} of what builds use instead of OS packages, as far as it is known.

    A library of HDF5 that does not tell its version is taken to have that of its headers.
    """
    include, found = os.path.join(local, "include"), {}
    for name, pattern in _PROGRAMS.items():
        program = os.path.join(local, "bin", name)
        text = output_of([program, "--version"], 30, errors=False)[0] if os.path.isfile(program) else ""
        found[name] = _first(pattern, text)
    for folder in _INCLUDED:
        found["hdf5"] = found.get("hdf5") or _of_hdf5(_text(os.path.join(include, folder, "H5public.h")))
    library = hdf5_library(local)
    found[HDF5_LIBRARY] = (_first(_LIBRARY, _text(library)) or found["hdf5"]) if library else ""
    found["protobuf"] = _of_number(_first(_PROTOBUF, _text(os.path.join(include, "google/protobuf/stubs/common.h"))))
    return dict((name, version) for name, version in found.items() if version)


def hdf5_header(local=LOCAL):
    """The path of HDF5's header that builds find there; empty if there is none."""
    paths = [os.path.join(local, "include", folder, "hdf5.h") for folder in _INCLUDED]
    return next((path for path in paths if os.path.isfile(path)), "")


def hdf5_library(local=LOCAL):
    """The path of HDF5's library that builds find there, also if it is a static one; empty if there is none."""
    paths = [os.path.join(local, folder, HDF5_LIBRARY + end) for folder in _FOLDERS for end in (".so", ".a")]
    return next((path for path in paths if os.path.isfile(path)), "")


def _text(path):
    """The text of a header or library; empty if it cannot be read."""
    try:
        return read_text(path) or ""
    except (IOError, OSError):
        return ""


def _first(pattern, text):
    match = re.search(pattern, text, re.MULTILINE)
    return match.group(1) if match else ""


def _of_hdf5(text):
    """The version in HDF5's header; empty if it lacks one of the three numbers."""
    numbers = [_first(r"#\s*define\s+%s\s+(\d{1,9})\b" % name, text) for name in _HDF5]
    return ".".join(numbers) if all(numbers) else ""


def _of_number(text):
    """The version as protoc prints it: 3021012 is 3.21.12, and 4025001 is 25.1."""
    if not text:
        return ""
    numbers = [int(text) // 10**6, int(text) // 10**3 % 10**3, int(text) % 10**3]
    return ".".join(map(str, numbers[1:] if numbers[0] > 3 else numbers))
