# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The environment of every program that builds or tries something on a host. It does not depend on who logs in.

A login can have another compiler first in PATH (conda), and variables that compilers, CMake, make, luarocks, Lua,
Python and pip read (CC, CFLAGS, LD_LIBRARY_PATH, CMAKE_PREFIX_PATH, MAKEFLAGS, LUA_PATH, PYTHONPATH, PIP_TARGET). A
stack that was built with them would work only with them. So only the variables below are passed on, and PATH is the
system's.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ..rules.texts import SYSTEM_PATH, UTF8

PATH = SYSTEM_PATH
BUILD_DATE = "1451606400"
"""2016-01-01, in seconds since 1970. Compilers and packers that know SOURCE_DATE_EPOCH write it in place of the date of
the build, so that two hosts build the same bytes."""
PASSED_ON = re.compile(
    r"(?:HOME|USER|LOGNAME|TZ|JAVA_HOME"
    r"|TMPDIR|XDG_RUNTIME_DIR"
    # Which cards a user may use, and where the driver keeps what it compiled.
    r"|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|CUDA_CACHE_\w+|NVIDIA_VISIBLE_DEVICES|SLURM_\w+"
    # How to reach a package repository or an index: nothing else uses the network.
    r"|(?:https?|ftp|all|no)_proxy|(?:HTTPS?|FTP|ALL|NO)_PROXY"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE)\Z"
)
"""The variables of the login that programs get."""
CMAKE = {"CMAKE_POLICY_VERSION_MINIMUM": "3.5", "CMAKE_INSTALL_ALWAYS": "1"}
"""CMake 4 refuses projects that ask for a CMake older than 3.5, as Torch's do, unless the first says to take them as
3.5's; an older CMake does not read it. With the second, files are installed although one with the same time is there
already: somebody may have changed it."""


def path_of(name, path=""):
    """The path of a program in these directories, by default where builds find it; None if there is none."""
    for directory in filter(None, (path or PATH).split(os.pathsep)):
        candidate = os.path.join(directory, name)
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    return None


def login_path_of(name):
    """The path of a program on the PATH of the login; None if there is none."""
    return path_of(name, os.environ.get("PATH", os.defpath))


def login_path():
    """The directories of the login and of the system, for programs that an administrator may have put elsewhere."""
    return {"PATH": os.pathsep.join(filter(None, [os.environ.get("PATH", ""), PATH]))}


def scratch():
    """The directory for temporary files of compilers, whether there is space in it or not."""
    own = os.environ.get("TMPDIR", "")
    return own if os.path.isabs(own) and os.path.isdir(own) and os.access(own, os.W_OK | os.X_OK) else "/tmp"


def clean(extra=None):
    """The environment: what is passed on, the system's PATH, CMAKE, UTF-8, English messages, one date, and `extra`."""
    kept = dict((name, value) for name, value in os.environ.items() if PASSED_ON.match(name))
    if kept.get("TMPDIR") != scratch():
        kept.pop("TMPDIR", None)  # dpkg-deb and others end if this directory is missing
    kept.setdefault("HOME", "/")
    kept.update(CMAKE)
    kept.update(UTF8, PATH=PATH, TERM="dumb", SHELL="/bin/sh", SOURCE_DATE_EPOCH=BUILD_DATE)
    kept.update(extra or {})
    return kept
