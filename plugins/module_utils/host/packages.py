# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""OS packages that are installed.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from .commands import output_of

PATIENCE = 600
"""Seconds. Another process may hold the database."""


def ask(argv):
    """The output of a command of a package manager, in English; empty if the command cannot be run."""
    text, code = output_of(argv, PATIENCE, errors=False)
    return "" if code in (None, 124, 126) else text


def of_dpkg(names):
    """{name: version} of those of the named packages that dpkg has installed; none where there is no dpkg."""
    form = "${Package} ${Version} ${db:Status-Abbrev}\\n"
    listing = ask(["dpkg-query", "-W", "-f", form] + names) if names else ""
    return dict(re.findall(r"^(\S+) (\S+) .i *$", listing, re.M))


def of_rpm(names):
    """{name: version and release} of those of the named packages that rpm has installed; none where there is no rpm."""
    form = "%{NAME} %{VERSION}-%{RELEASE}\\n"
    listing = ask(["rpm", "-q", "--queryformat", form] + names) if names else ""
    return dict((name, version) for name, version in re.findall(r"^(\S+) (\S+)$", listing, re.M) if name in names)
