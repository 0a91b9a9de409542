# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""OS packages that are installed.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from .commands import output_of
from .environment import PATH

TIMEOUT = 600
"""Seconds. Another process may have locked the package database."""


def query(argv):
    """The output of a command of a package manager, in English; empty if the command cannot be run."""
    text, code = output_of(argv, TIMEOUT, errors=False, environment={"PATH": PATH})
    return "" if code in (None, 124, 126) else text


def of_dpkg(names):
    """{name: version} of those of the given packages that dpkg has installed; empty if there is no dpkg."""
    template = "${Package} ${Version} ${db:Status-Abbrev}\\n"
    listing = query(["dpkg-query", "-W", "-f", template] + names) if names else ""
    return dict(re.findall(r"^(\S+) (\S+) .i *$", listing, re.M))


def of_rpm(names):
    """{name: version and release} of those of the given packages that rpm has installed; empty if there is no rpm."""
    template = "%{NAME} %{VERSION}-%{RELEASE}\\n"
    listing = query(["rpm", "-q", "--queryformat", template] + names) if names else ""
    return dict((name, version) for name, version in re.findall(r"^(\S+) (\S+)$", listing, re.M) if name in names)


def every():
    """{name: version} of all OS packages that are installed, by dpkg or else by rpm; empty if there is neither."""
    listing = query(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Version}\\n"])
    listing = listing or query(["rpm", "-qa", "--queryformat", "ii |%{NAME}|%{VERSION}-%{RELEASE}\\n"])
    return read_list(listing)


def read_list(listing):
    """{name: version} in what dpkg-query or rpm printed for `every`."""
    return dict(re.findall(r"^.i *\|([^|\n]+)\|([^|\n]+)$", listing, re.M))
