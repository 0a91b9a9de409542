# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Machine types: the one that the stack is built for, and the one that an ELF file is for.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import struct

BUILT_FOR = "x86_64"
"""The machine type that everything is built for, as `uname -m` prints it."""
SAME = (BUILT_FOR, "amd64")
"""The names of that machine type."""
MACHINES = (BUILT_FOR, "aarch64", "ppc64le", "s390x", "riscv64", "i686", "armv7l")
"""The machine types that a platform can have, as `uname -m` prints them."""
OTHER_NAMES = {
    "amd64": BUILT_FOR,
    "x64": BUILT_FOR,
    "x86-64": BUILT_FOR,
    "arm64": "aarch64",
    "ppc64el": "ppc64le",
    "i386": "i686",
    "armhf": "armv7l",
}
"""{what other systems call a machine type: its name here}."""
ELF = {62: BUILT_FOR, 183: "aarch64", 21: "ppc64le"}
HEAD = 20
"""How many bytes from the start of a file `of_elf` needs."""


def of_elf(head):
    # type: (bytes) -> str
    """The machine type of an ELF file, from its first bytes; empty if it is not an ELF file."""
    if len(head) < HEAD or head[:4] != b"\x7fELF":
        return ""
    number = struct.unpack("<H", head[18:20])[0]
    return ELF.get(number, "machine %d" % number)
