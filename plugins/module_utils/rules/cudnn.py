# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What is known of cuDNN: its files, how they give their version, and which cuDNN replaces which.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

HEADERS = ("cudnn.h", "cudnn_version.h")
"""The headers that can hold the version; cuDNN 8 and later have it in the second one."""
LIBRARY = "libcudnn.so"
"""How the names of the shared libraries begin."""
LIBRARIES = re.compile(r"^libcudnn(\.so(\.\d+)*|_static(_v\d+)?\.a)$")
"""The names of cuDNN's libraries in a CUDA directory."""
ABSENT, WHOLE, MIXED, UNFINISHED = "absent", "whole", "mixed", "unfinished"
"""The states of the cuDNN in a CUDA directory.

absent: there is neither header nor library. whole: header and library give the same version. mixed: they do not.
unfinished: a swap was interrupted.
"""
NEWER = "newer"
SWAPPING, SWAPPED, RESTORING = "swapping", "swapped", "restoring"
"""The phases in the journal of a swap; a swap that did not end is in the first or the last one."""


def number_to_version(number):
    # type: (int) -> str
    """`5.0.5` of the 5005 that cudnnGetVersion returns; cuDNN 9 counts in ten thousands."""
    thousands = 10000 if number >= 90000 else 1000
    return "%d.%d.%d" % (number // thousands, number % thousands // 100, number % 100)


def header_version(text):
    # type: (str) -> str
    """The version that the text of the headers gives; empty where it gives none."""
    found = [re.search(r"^#define CUDNN_%s\s+(\d+)" % part, text, re.M) for part in ("MAJOR", "MINOR", "PATCHLEVEL")]
    numbers = [match.group(1) for match in found if match]
    return ".".join(numbers) if len(numbers) == len(found) else ""


def branch(version):
    # type: (str | None) -> int
    """The first number of a version; 0 of none."""
    return int(version.split(".")[0]) if version else 0


def soname(version):
    # type: (str) -> str
    """The name that programs built with that version load: `libcudnn.so.5`."""
    return "%s.%d" % (LIBRARY, branch(version))


def state_of(header, library, has_library, phase):
    # type: (str, str, bool, str) -> str
    """The state of a cuDNN from the versions of its header and library.

    `has_library` says whether there is a library at all, which may not tell its version; `phase` is the phase in the
    journal of the last swap, empty where there was none.
    """
    if phase in (SWAPPING, RESTORING):
        return UNFINISHED
    if header and header == library:
        return WHOLE
    return MIXED if header or has_library else ABSENT


def is_in_place(state, library, version):
    # type: (str, str | None, str) -> bool
    """Whether a cuDNN is whole and of that version's branch: bindings work with any 5.x alike."""
    return state == WHOLE and branch(library) == branch(version)


def obstacle(state, library, version):
    # type: (str, str | None, str) -> str
    """Why a cuDNN is not replaced by that version unless the user asks for it: MIXED, NEWER, or empty."""
    if state == MIXED:
        return MIXED
    if state == WHOLE and branch(library) > branch(version):
        return NEWER
    return ""
