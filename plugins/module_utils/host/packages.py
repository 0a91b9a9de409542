# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""OS packages that are installed.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from .commands import output_of

TIMEOUT = 600
"""Seconds. Another process may have locked the package database."""
_DPKG = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Architecture}|${Version}\\n"]
_RPM = ["rpm", "-qa", "--queryformat", "ii |%{NAME}|%{ARCH}|%{VERSION}-%{RELEASE}\\n"]
_PROVIDED = "[ii |%{PROVIDENAME}|%{=ARCH}|%{=VERSION}-%{=RELEASE}\\n]"
_RPM_PROVIDES = ["rpm", "-q", "--whatprovides", "--queryformat", _PROVIDED]
_ROW = re.compile(r"^.i *\|([^|\n]+)\|([^|\n]+)\|([^|\n]+)$", re.M)
_DPKG_MACHINE, _RPM_MACHINE = ["dpkg", "--print-architecture"], ["rpm", "--eval", "%{_arch}"]
_FOR_ALL = ("all", "noarch", "(none)")
"""What dpkg and rpm call packages that every machine can use. Keys of repositories have none."""


def query(argv):
    """The output of a command of a package manager, in English; empty if the command cannot be run."""
    text, code = output_of(argv, TIMEOUT, errors=False)
    return "" if code in (None, 124, 126) else text


def of_dpkg(names):
    """{name: version} of those of the given packages that dpkg has installed; empty if there is no dpkg."""
    return _installed(_DPKG + names, _DPKG_MACHINE) if names else {}


def of_rpm(names):
    """{name: version and release} of those of the given packages that rpm has installed; empty if there is no rpm.

    A package that provides another one counts as that: curl-minimal of EL 9 provides curl, and conflicts with it.
    """
    found = _installed(_RPM_PROVIDES + names, _RPM_MACHINE) if names else {}
    return dict((name, version) for name, version in found.items() if name in names)


def every():
    """{name: version} of all OS packages that are installed, by dpkg or else by rpm; empty if there is neither."""
    return _installed(_DPKG, _DPKG_MACHINE) or _installed(_RPM, _RPM_MACHINE)


def _installed(listing, machine):
    """{name: version} of the installed packages that these two commands list. Those for other machines do not count.

    A host can have libpng-dev:i386 or libpng-devel.i686 beside, or without, the package with which it builds.
    """
    rows = _ROW.findall(query(listing))
    usable = _FOR_ALL + (query(machine).strip(),) if rows else ()
    return dict((name, version) for name, kind, version in rows if kind in usable)
