# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What this host has for programs at run time: glibc, the level of its processor, and libraries with their versions.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import platform
import re

from . import pythons
from .commands import output_of
from .elf import defined_versions
from .files import read_text
from .packages import query
from ..rules import machines
from ..rules.runtime import glibc_of, level_of

DEFAULTS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu")
"""Where the loader searches in the end, and where Debian's cache of libraries would lead if it were stale."""
BELOW = ("", "lib64", "lib", "targets/x86_64-linux/lib")
"""Where the libraries are in a directory that is searched first, such as one of CUDA."""
_CACHED = re.compile(r"^\s+(\S+) \(libc6,([^)]*)\) => (/\S+)$", re.M)
_LDCONFIG = "/sbin/ldconfig"


def facts(sonames, directories, with_packages, interpreter=""):
    """{machine, glibc, level, python, libraries} of this host. Of libraries, only those of the given names.

    `interpreter` is the inventory's ansible_python_interpreter. `directories` are searched first. With
    `with_packages`, the OS package of each library is looked up.
    """
    cached = cached_libraries()
    libraries = {}
    for soname in sonames:
        path = _find(soname, directories, cached)
        versions = defined_versions(path) if path else None
        if path and versions is not None:
            package = package_of(path) if with_packages else ""
            libraries[soname] = {"path": path, "versions": versions, "package": package}
    return {
        "machine": platform.machine(),
        "glibc": glibc(),
        "python": ".".join(pythons.choose(interpreter)["python"].split(".")[:2]),
        "level": level_of(
            (re.findall(r"^flags\s*:\s*(.*)$", read_text("/proc/cpuinfo") or "", re.M) or [""])[0].split()
        ),
        "libraries": libraries,
    }


def glibc():
    """The version of glibc; empty if the host has another library.

    Not every Python knows the name of this value, so else it is the newest version that the library defines.
    """
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split(" ")
        if name == "glibc":
            return version
    except (ValueError, OSError):
        pass
    path = _find("libc.so.6", (), cached_libraries())
    return glibc_of(defined_versions(path) or ()) if path else ""


def cached_libraries():
    """{soname: path} in the loader's cache; the first one counts."""
    text, _code = output_of([_LDCONFIG, "-p"], errors=False)
    found = {}  # type: dict[str, str]
    for soname, kind, path in _CACHED.findall(text):
        words = [word.strip().lower() for word in kind.split(",")]
        if platform.machine() in [machines.OTHER_NAMES.get(word, word) for word in words]:
            found.setdefault(str(soname), str(path))
    return found


def _find(soname, directories, cached):
    own = [os.path.join(directory, part, soname) for directory in directories for part in BELOW]
    others = [cached[soname]] if soname in cached else []
    for path in own + others + [os.path.join(directory, soname) for directory in DEFAULTS]:
        if os.path.isfile(path):
            return path
    return ""


def is_found(path):
    """Whether the loader finds this library by its soname; True if there is no cache of libraries."""
    cached = [os.path.realpath(other) for other in cached_libraries().values()]
    return not cached or os.path.realpath(path) in cached


def package_of(path):
    """The OS package that a library belongs to; empty if none is known.

    Debian's packages may name it below /lib although /lib is a link to /usr/lib, so both paths are asked for.
    """
    real = os.path.realpath(path)
    places = []
    for place in (real, path):
        for name in (place, place[len("/usr") :] if place.startswith("/usr/") else "/usr" + place):
            if name not in places:
                places.append(name)
    for place in places:
        text = query(["dpkg-query", "-S", place])
        match = re.match(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)?: ", text)
        if match:
            return str(match.group(1))
    text = query(["rpm", "-qf", "--queryformat", "%{NAME}\\n", real]).strip()
    return str(text) if re.match(r"[A-Za-z0-9][A-Za-z0-9+._-]*\Z", text) else ""
