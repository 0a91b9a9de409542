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


def clean(extra=None):
    """The environment: what is passed on, PATH of the system, UTF-8, messages in English, one date, and `extra`."""
    kept = dict((name, value) for name, value in os.environ.items() if PASSED_ON.match(name))
    kept.setdefault("HOME", "/")
    kept.update(UTF8, PATH=PATH, TERM="dumb", SHELL="/bin/sh", SOURCE_DATE_EPOCH=BUILD_DATE)
    kept.update(extra or {})
    return kept
