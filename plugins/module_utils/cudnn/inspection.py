# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The cuDNN in a CUDA directory: its files, their versions, and the processes that use it.

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
from ..host.process_info import command_of
from ..host.places import unsafe_path
from ..host.texts import as_text
from ..rules import machines
from ..rules.cudnn import HEADERS, LIBRARIES, LIBRARY, header_version, number_to_version, state_of


ELSEWHERE = "name another CUDA directory (gpu_stack_cuda, --cuda)"
OURS = ".neuraltalk-cudnn"
"""The directory below the CUDA directory for the journal of a swap and for the new files before they are moved."""


def refuse_unsafe(path, creates=False):
    """StackError if another user than root and the current one could replace what is at the path, or a part of it.

    `creates`: something is created in this directory; nobody else may be able to change that either.
    """
    for problem in unsafe_path(path, ELSEWHERE, creates)[:1]:
        raise StackError(problem)


def library_version(path):
    """The version that the library returns from cudnnGetVersion.

    It is called in a separate process, because that process may crash. StackError if it returns no version, or if
    another user could have replaced the library.
    """
    refuse_unsafe(path)
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
    """The machine type of an ELF file; empty if it is not an ELF file."""
    with io.open(path, "rb") as file:
        return machines.of_elf(file.read(machines.HEAD))


def describe(path):
    """{kind, sha256 or target, mode, uid, gid, mtime} of a file or link. StackError for anything else."""
    status = os.lstat(path)
    common = {"uid": status.st_uid, "gid": status.st_gid}
    common.update(mtime=int(status.st_mtime), mode=stat.S_IMODE(status.st_mode))
    if stat.S_ISLNK(status.st_mode):
        return dict(common, kind="link", target=as_text(os.readlink(path)))
    if not stat.S_ISREG(status.st_mode):
        raise StackError("%s is neither a file nor a link" % path)
    return dict(common, kind="file", size=status.st_size, sha256=file_sha256(path))


class Tree(object):
    """A CUDA directory with its include/ and lib64/."""

    def __init__(self, root):
        self.root = root
        self.include = os.path.join(root, "include")
        self.lib = os.path.join(root, "lib64")
        self.ours = os.path.join(root, OURS)
        self.new = os.path.join(self.ours, "new")  # the new files, until they are moved to their places
        self.journal_file = os.path.join(self.ours, "journal.json")

    def names(self, below=""):
        """cuDNN's files, relative to the CUDA directory. `below` is a directory inside include/ and lib64/."""
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
        """The path of the backup of a file, for example include/cudnn_v4/cudnn.h."""
        folder, file = os.path.split(name)
        return os.path.join(self.root, folder, label, file)

    def staged(self, name):
        return os.path.join(self.new, name)

    def journal(self):
        """The journal of the last swap; None if there is none."""
        return read_json(self.journal_file)

    def header_text(self):
        """The text of cuDNN's headers; empty if there are none."""
        return "".join(read_text(os.path.join(self.include, name)) or "" for name in HEADERS)

    def library(self):
        """The path of libcudnn.so, or else of the library with the highest number; None if there is none."""
        numbered = sorted(glob.glob(os.path.join(self.lib, LIBRARY + ".*")), key=_numbers)
        plain = os.path.join(self.lib, LIBRARY)
        return plain if os.path.exists(plain) else numbered[-1] if numbered else None


def _numbers(path):
    return [int(number) for number in re.findall(r"\.(\d+)", path)]


def inspect(tree):
    """The cuDNN in the CUDA directory: the versions of header and library, and the state (see rules/cudnn.py)."""
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
    """[{pid, command, file}] of the processes that have a libcudnn of this CUDA directory mapped now."""
    ours = set()
    for name in tree.names():
        status = os.stat(tree.path(name)) if os.path.exists(tree.path(name)) else None
        if status:
            ours.add((os.path.realpath(tree.path(name)), status.st_ino))
    paths, inodes = set(path for path, _inode in ours), set(str(inode) for _path, inode in ours)
    found = []
    for maps in glob.glob("/proc/[0-9]*/maps"):
        try:
            text = read_text(maps) or ""
        except (IOError, OSError):
            continue  # the process has ended, or belongs to another user
        for line in text.splitlines():
            fields = line.split(None, 5)
            if len(fields) == 6 and "libcudnn" in fields[5] and (fields[5] in paths or fields[4] in inodes):
                pid = maps.split("/")[2]
                found.append({"pid": int(pid), "command": command_of(int(pid)), "file": fields[5]})
                break
    return found
