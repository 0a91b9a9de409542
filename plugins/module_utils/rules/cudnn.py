# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Facts about cuDNN: its files, where its version is written, and which version may replace which.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

HEADERS = ("cudnn.h", "cudnn_version.h")
"""The headers that can contain the version; in cuDNN 8 and later it is in the second one."""
LIBRARY = "libcudnn.so"
"""The start of the names of the shared libraries."""
LIBRARIES = re.compile(r"^libcudnn(\.so(\.\d+)*|_static(_v\d+)?\.a)$")
"""The names of cuDNN's libraries in a CUDA directory."""
ABSENT, WHOLE, MIXED, UNFINISHED = "absent", "whole", "mixed", "unfinished"
"""The states of the cuDNN in a CUDA directory.

absent: there is no header and no library. whole: header and library have the same version. mixed: they do not.
unfinished: a swap was interrupted.
"""
NEWER = "newer"
SWAPPING, SWAPPED, RESTORING = "swapping", "swapped", "restoring"
"""The phases in the journal of a swap. An interrupted swap is in the first or the last one."""


def number_to_version(number):
    # type: (int) -> str
    """The version for a result of cudnnGetVersion: `5.0.5` for 5005, and for cuDNN 9 `9.1.0` for 90100."""
    major = 10000 if number >= 90000 else 1000
    return "%d.%d.%d" % (number // major, number % major // 100, number % 100)


def header_version(text):
    # type: (str) -> str
    """The version in the text of the headers; empty if there is none."""
    found = [re.search(r"^#define CUDNN_%s\s+(\d+)" % part, text, re.M) for part in ("MAJOR", "MINOR", "PATCHLEVEL")]
    numbers = [match.group(1) for match in found if match]
    return ".".join(numbers) if len(numbers) == len(found) else ""


def branch(version):
    # type: (str | None) -> int
    """The major version; 0 if there is no version."""
    return int(version.split(".")[0]) if version else 0


def soname(version):
    # type: (str) -> str
    """The name of the library that programs built with that version load: `libcudnn.so.5`."""
    return "%s.%d" % (LIBRARY, branch(version))


def state_of(header, library, has_library, phase):
    # type: (str, str, bool, str) -> str
    """The state of a cuDNN, for the versions of its header and library.

    `has_library` says whether there is a library; its version may be unknown. `phase` is the phase in the journal of
    the last swap, empty if there was none.
    """
    if phase in (SWAPPING, RESTORING):
        return UNFINISHED
    if header and header == library:
        return WHOLE
    return MIXED if header or has_library else ABSENT


def is_in_place(state, library, version):
    # type: (str, str | None, str) -> bool
    """Whether a cuDNN is whole and has the same major version. The bindings work with any 5.x."""
    return state == WHOLE and branch(library) == branch(version)


def obstacle(state, library, version):
    # type: (str, str | None, str) -> str
    """The reason not to replace a cuDNN by that version unless the user requests it: MIXED, NEWER, or empty."""
    if state == MIXED:
        return MIXED
    if state == WHOLE and branch(library) > branch(version):
        return NEWER
    return ""
