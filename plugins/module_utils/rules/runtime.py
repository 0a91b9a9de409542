# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What programs need from a host at run time, what the host has, and whether that is enough.

Needs are {machine, glibc, level, python, libraries}: the machine type, the oldest version of glibc, the level of x86-64
(1 to 4, for v1 to v4), the version of Python (major and minor), and {soname: versions of symbols}. What a host has is
the same, but each library is {path, versions, package}.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from .texts import some

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterable, List, Mapping, Tuple  # noqa: F401

SONAME = re.compile(r"[A-Za-z0-9_.+-]{1,200}\Z")
"""A name of a library; no path."""
VERSION = re.compile(r"[A-Za-z0-9_.+-]{1,100}\Z")
"""A version of symbols, such as GLIBC_2.34."""
MOST_LIBRARIES = 500
MOST_VERSIONS = 2000
"""The most libraries of a host or a pack that are considered, and the most versions of one library."""
_GLIBC = re.compile(r"GLIBC_(\d{1,4}(?:\.\d{1,4}){1,2})\Z")
_LEVELS = (
    ("sse3", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16"),
    ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"),
    ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
)
_SAME = {"pni": "sse3", "abm": "lzcnt"}


def number(version):
    # type: (str) -> Tuple[int, ...]
    """A version such as 2.36 as numbers, to compare; empty if it is none."""
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() and len(part) < 9 for part in parts) else ()


def glibc_of(versions):
    # type: (Iterable[str]) -> str
    """The newest version of glibc among versions of symbols; empty if there is none."""
    found = [match.group(1) for match in (_GLIBC.match(version) for version in versions) if match]
    return max(found, key=number) if found else ""


def level_of(flags):
    # type: (Collection[str]) -> int
    """The level of x86-64 (1 to 4) of a processor with these flags of /proc/cpuinfo."""
    known = set(flags) | set(_SAME[flag] for flag in flags if flag in _SAME)
    level = 1
    for needed in _LEVELS:
        if not known.issuperset(needed):
            break
        level += 1
    return level


def reasons(needs, has, coming=()):
    # type: (Mapping[str, Any], Mapping[str, Any], Collection[str]) -> List[str]
    """Why programs with these needs will not run on a host; empty if they will.

    Libraries in `coming` may be missing, because their packages will be installed.
    """
    found = []
    if needs["machine"] and needs["machine"] != has["machine"]:
        found.append("its machine type is %s, needed is %s" % (has["machine"] or "unknown", needs["machine"]))
    if number(has["glibc"]) < number(needs["glibc"]):
        found.append("its glibc is %s, needed is %s or later" % (has["glibc"] or "unknown", needs["glibc"]))
    if needs["level"] > has["level"]:
        found.append("its processor is x86-64-v%d, needed is x86-64-v%d" % (has["level"], needs["level"]))
    if needs["python"] and needs["python"] != has["python"]:
        found.append("its Python is %s, needed is %s" % (has["python"] or "unknown", needs["python"]))
    for soname in sorted(needs["libraries"]):
        library = has["libraries"].get(soname)
        if library is None:
            if soname not in coming:
                found.append("it has no %s" % soname)
            continue
        missing = sorted(set(needs["libraries"][soname]) - set(library["versions"]))
        if missing:
            found.append("its %s (%s) lacks %s" % (soname, library["path"], some(missing, 3)))
    return found
