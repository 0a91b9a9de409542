# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The programs of builds that are on a host and do not start, as builds would find and start them.

A compiler can lack a library, and an alternative (update-alternatives) can be another compiler that was half removed.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from . import build_tools, runtime
from .commands import output_of
from .environment import path_of
from ..rules import layout
from ..rules.packages import HDF5, HDF5_LIBRARY, LOCAL

COMPILERS = ("cc", "c++", "gcc", "g++", "make", "cmake", "protoc")
READ = ["-std=gnu11", "-E", "-o", os.devnull]
"""The arguments with which gcc reads a header, as torch-hdf5 calls it."""
LIMIT = 30
"""Seconds for one program."""


def broken(root, python="", pip="", local=LOCAL):
    """[{name, path, words}] of the programs that do not start; `pip` is a file of the pip of that Python, if any.

    An HDF5 in /usr/local that builds would use is listed too, if gcc cannot read it or the loader does not find it.

    Each start costs time on every host. What has not changed since the current generation was sealed has built it, and
    is not started again.
    """
    since = _sealed(layout.current(root))
    commands = [(name, [path_of(name)], path_of(name)) for name in COMPILERS if path_of(name)]
    if pip and os.path.exists(pip):
        commands.append(("pip", [python, "-m", "pip"], pip))
    found = []
    for name, argv, file in commands:
        text, code = ("", 0) if _changed(file) < since else output_of(argv + ["--version"], LIMIT)
        if code != 0:
            words = (text.strip().splitlines() or ["it ended with code %s" % code])[-1]
            found.append({"name": name, "path": " ".join(argv), "words": words[:500]})
    return found + _hdf5(local)


def _hdf5(local):
    """What is wrong with the HDF5 in /usr/local that builds find before the distribution's, as in `broken`."""
    found, header, library = [], build_tools.hdf5_header(local), build_tools.hdf5_library(local)
    if header and path_of("gcc"):
        text, code = output_of([path_of("gcc")] + READ + [header], LIMIT)
        if code != 0:
            words = ([line for line in text.splitlines() if "error: " in line] or text.splitlines() or [""])[0]
            found.append({"name": HDF5, "path": header, "words": words.rpartition("error: ")[2][:500]})
    if library and not runtime.is_found(library):
        found.append({"name": HDF5_LIBRARY, "path": library, "words": "it is not among the libraries of ldconfig -p"})
    return found


def _sealed(generation):
    """When the generation was sealed, in seconds since 1970; 0 if there is none."""
    try:
        return os.stat(layout.seal(generation)).st_ctime
    except OSError:
        return 0


def _changed(path):
    """When a program, or a link that leads to it, was changed last."""
    times = []
    while os.path.islink(path):
        times.append(os.lstat(path).st_ctime)
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return max(times + [os.stat(path).st_ctime])
