# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The cuDNN in a CUDA directory: its files, the versions that they give, and the processes that use it.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import io
import os
import re
import stat
import sys

from ..host.commands import output_of
from ..host.errors import StackError
from ..host.files import file_sha256, read_json, read_text
from ..host.texts import as_text
from ..rules import machines
from ..rules.cudnn import HEADERS, LIBRARIES, LIBRARY, header_version, number_to_version, state_of


OURS = ".neuraltalk-cudnn"
"""The directory in the CUDA directory that holds a swap's journal, and the new files until they are in place."""


def library_version(path):
    """What the library itself returns from cudnnGetVersion; asked in a process of its own, which may die of it."""
    program = (
        "import ctypes, sys; ask = ctypes.CDLL(sys.argv[1]).cudnnGetVersion; "
        "ask.restype = ctypes.c_size_t; print('cudnn %d' % ask())"
    )
    text, code = output_of([sys.executable, "-c", program, path], timeout=None)
    answer = re.search(r"^cudnn (\d+)$", text, re.M)
    if code or not answer:
        last = text.strip().splitlines()[-1:] or ["rc %s" % code]
        raise StackError("%s does not report its version: %s" % (path, last[0]))
    return number_to_version(int(answer.group(1)))


def machine_of(path):
    """The machine that an ELF file is for; empty for a file that is not ELF."""
    with io.open(path, "rb") as file:
        return machines.of_elf(file.read(machines.HEAD))


def describe(path):
    """What makes a file that file: kind, content, mode, owner and time."""
    seen = os.lstat(path)
    told = {"uid": seen.st_uid, "gid": seen.st_gid, "mtime": int(seen.st_mtime), "mode": stat.S_IMODE(seen.st_mode)}
    if stat.S_ISLNK(seen.st_mode):
        return dict(told, kind="link", target=as_text(os.readlink(path)))
    if not stat.S_ISREG(seen.st_mode):
        raise StackError("%s is neither a file nor a link" % path)
    return dict(told, kind="file", size=seen.st_size, sha256=file_sha256(path))


class Tree(object):
    """A CUDA directory with its include/ and lib64/."""

    def __init__(self, root):
        self.root = root
        self.include = os.path.join(root, "include")
        self.lib = os.path.join(root, "lib64")
        self.ours = os.path.join(root, OURS)
        self.journal_file = os.path.join(self.ours, "journal.json")

    def names(self, below=""):
        """cuDNN's files, relative to the tree; `below` is a directory of its two directories."""
        found = []
        for folder, fits in (("include", lambda n: n in HEADERS), ("lib64", LIBRARIES.match)):
            place = os.path.join(self.root, folder, below)
            for name in sorted(os.listdir(place)) if os.path.isdir(place) else []:
                if fits(name):
                    found.append(os.path.join(folder, name))
        return found

    def path(self, name):
        return os.path.join(self.root, name)

    def backup(self, name, label):
        """Where the old file of that name goes: include/cudnn_v4/cudnn.h for instance."""
        folder, file = os.path.split(name)
        return os.path.join(self.root, folder, label, file)

    def staged(self, name):
        return os.path.join(self.ours, "new", name)

    def journal(self):
        """What an earlier swap wrote down; None where there was none."""
        return read_json(self.journal_file)

    def header_text(self):
        """The text of cuDNN's headers; empty where there are none."""
        return "".join(read_text(os.path.join(self.include, name)) or "" for name in HEADERS)

    def library(self):
        """The library that programs get: libcudnn.so, else the one with the highest number; None without one."""
        numbered = sorted(glob.glob(os.path.join(self.lib, LIBRARY + ".*")), key=_numbers)
        plain = os.path.join(self.lib, LIBRARY)
        return plain if os.path.exists(plain) else numbered[-1] if numbered else None


def _numbers(path):
    return [int(number) for number in re.findall(r"\.(\d+)", path)]


def inspect(tree):
    """What is in the CUDA directory: the versions of header and library, and the state (see rules/cudnn.py)."""
    journal = tree.journal() or {}
    library = tree.library()
    header, problem, version = header_version(tree.header_text()), "", ""
    try:
        version = library_version(library) if library else ""
    except StackError as error:
        problem = str(error)
    return {
        "root": tree.root,
        "state": state_of(header, version, bool(library), journal.get("phase", "")),
        "header": header,
        "library": version,
        "problem": problem,
        "files": tree.names(),
        "phase": journal.get("phase", ""),
        "backup": [tree.backup(name, journal["label"]) for name in sorted(journal.get("old", {}))],
    }


def users(tree):
    """[{pid, command, file}] of the processes that have a libcudnn of this tree mapped now."""
    ours = set()
    for name in tree.names():
        seen = os.stat(tree.path(name)) if os.path.exists(tree.path(name)) else None
        if seen:
            ours.add((os.path.realpath(tree.path(name)), seen.st_ino))
    paths, inodes = set(path for path, _inode in ours), set(str(inode) for _path, inode in ours)
    found = []
    for maps in glob.glob("/proc/[0-9]*/maps"):
        try:
            text = read_text(maps) or ""
        except (IOError, OSError):
            continue  # it ended, or is not ours to look at
        for line in text.splitlines():
            words = line.split(None, 5)
            if len(words) == 6 and "libcudnn" in words[5] and (words[5] in paths or words[4] in inodes):
                pid = maps.split("/")[2]
                command = (read_text("/proc/%s/cmdline" % pid) or "").replace("\0", " ").strip()
                found.append({"pid": int(pid), "command": command[:200], "file": words[5]})
                break
    return found
