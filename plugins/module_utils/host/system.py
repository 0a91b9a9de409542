# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The system of a host, from its os-release file, and its glibc.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import platform
import re

from .environment import path_of
from .files import read_text
from .runtime import glibc
from ..rules.packages import COMMANDS, base_codename


def os_release():
    """The values of os-release. If it is missing (EL 6), they are derived from /etc/redhat-release."""
    text = read_text("/etc/os-release") or read_text("/usr/lib/os-release") or ""
    pairs = dict((key, value.strip("\"' \r")) for key, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.M))
    if not pairs:
        line = read_text("/etc/redhat-release") or ""
        version = re.search(r"(\d[\d.]*)", line)
        if version:
            pairs = {"ID": "centos", "ID_LIKE": "rhel", "VERSION_ID": version.group(1)}
    return pairs


def facts():
    """The facts about the system that the recipe depends on."""
    pairs, libc = os_release(), glibc()
    return {
        "id": (pairs.get("ID") or "unknown").lower(),
        "id_like": pairs.get("ID_LIKE", "").lower().split(),
        "version": pairs.get("VERSION_ID", ""),
        "codename": pairs.get("VERSION_CODENAME", ""),
        "base": base_codename(pairs),
        "name": pairs.get("PRETTY_NAME", pairs.get("NAME", "")),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "libc": "glibc-%s" % libc if libc else "",
        "managers": [name for name in sorted(COMMANDS.values()) if path_of(name)],
    }
