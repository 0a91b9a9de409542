# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The files of a prepared data set: their names, what may not be there before, the room they take, their last step.

While they are made they are called `.part`. They get their names at the very end, the HDF5 last, and nothing that has
such a name is overwritten.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import hashlib
import json
import os

from ..pictures.files import as_bytes, shown, who
from ..programs.progress import number, size
from ..host.errors import StackError
from ..host.files import remove, write_whole
from ..host.texts import as_text

FILES = 8
"""Files that are made, at most."""
READ_ONLY = 1
"""In statvfs's flags (ST_RDONLY, which Python 2.7 does not name)."""
TOLD = 20
"""Pictures that are named in a message; all of them are in the list."""
SPARE = 1.05


class Outputs(object):
    """The names of all files that come into being, as this Python opens them."""

    def __init__(self, h5, json_file):
        self.h5, self.json = h5, json_file
        self.annotations = (json_file[:-5] if json_file.endswith(".json") else json_file) + ".annotations.json"
        self.part = h5 + ".part"
        self.journal = self.part + ".journal"
        self.unreadable = h5 + ".unreadable.jsonl"
        # By the HDF5 whose command makes it: two commands may want the same name for their JSON.
        ours = ".%s.part" % hashlib.sha256(as_bytes(h5)).hexdigest()[:8]
        self.json_part, self.annotations_part = json_file + ours, self.annotations + ours
        self.finals = (self.annotations, self.json, self.h5)

    def parts(self):
        """The files that are being made, in the order in which they get their names."""
        return [self.annotations_part, self.json_part, self.part]

    def refuse(self):
        """StackError where a folder cannot take them, or one of them is there already."""
        if len(set(os.path.realpath(final) for final in self.finals)) < 3:
            raise StackError("output_h5 and output_json name the same file: %s" % shown(self.h5))
        for field, final in (("output_json", self.json), ("output_h5", self.h5)):
            folder = os.path.dirname(final)
            if not os.path.isdir(folder):
                raise StackError("%s is to be written into %s, which is no folder: make it" % (field, shown(folder)))
            if os.statvfs(folder).f_flag & READ_ONLY:
                raise StackError("%s is to be written into %s, whose disk is read-only" % (field, shown(folder)))
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StackError("%s may not write into %s, where %s is to be" % (who(), shown(folder), field))

    def refuse_existing(self):
        """StackError where one of the names is taken."""
        for final in self.finals:
            if os.path.lexists(final):
                words = "%s is there already, and is not overwritten: move it away, or choose another name"
                raise StackError(words % shown(final))

    def refuse_foreign(self):
        """StackError where something is called like an unfinished file, and no journal tells whose it is."""
        for part in self.parts():
            if os.path.lexists(part):
                words = (
                    "%s is there without a journal of this command: another tool, or an older one, left it. See what "
                )
                words += "it is, then move it away, or choose another name"
                raise StackError(words % shown(part))

    def remove_parts(self):
        """Nothing is left of what was begun."""
        for part in self.parts():
            remove(part)

    def finish(self):
        """Give all files their names; those that have theirs keep it. StackError where a name was taken meanwhile."""
        for part, final in zip(self.parts(), self.finals):
            place(part, final)
        for folder in set(os.path.dirname(final) for final in self.finals):
            sync_folder(folder)


def place(part, final):
    """Rename a file where there is none of that name."""
    if not os.path.lexists(part):
        if os.path.lexists(final):
            return  # a command did that and was killed then
        raise StackError(
            "%s is gone, and has not become %s: remove what is left and begin anew" % (shown(part), shown(final))
        )
    try:
        os.link(part, final)
    except (IOError, OSError) as error:
        if error.errno == errno.EEXIST and not os.path.samestat(os.lstat(part), os.lstat(final)):
            words = "%s came into being while it was being made: move that away, then run the same command again"
            raise StackError(words % shown(final))
        if error.errno != errno.EEXIST:  # a file system without hard links
            if os.path.lexists(final):
                raise StackError("%s is there already, and is not overwritten: move it away" % shown(final))
            os.rename(part, final)
            return
    os.unlink(part)


def sync_folder(folder):
    """Make the names in a folder durable, where its file system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except (IOError, OSError):
        return
    try:
        os.fsync(handle)
    except (IOError, OSError):
        pass
    finally:
        os.close(handle)


def refuse_full(wanted):
    """StackError where the disks lack the room for {path: bytes}, and 5 % more. What a path holds already counts."""
    disks = {}  # type: dict[int, list[tuple[str, float]]]
    for path, length in wanted.items():
        folder = os.path.dirname(path)
        there = os.lstat(path).st_blocks * 512 if os.path.lexists(path) else 0
        disks.setdefault(os.stat(folder).st_dev, []).append((folder, max(0, length * SPARE - there)))
    for each in disks.values():
        folder, needed = each[0][0], int(sum(length for _folder, length in each))
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if free < needed:
            words = "%s are needed on the disk of %s, and %s are free there: make room, or choose other outputs"
            raise StackError(words % (size(needed), shown(folder), size(free)))
        if disk.f_files and disk.f_favail < FILES:
            words = "the disk of %s has room for %d more files (inodes) and %d are made: remove some"
            raise StackError(words % (shown(folder), disk.f_favail, FILES))


def write_unreadable(path, bad):
    """Write the list of pictures that cannot be used: [(path, reason, fault)]."""
    lines = [json.dumps({"file": shown(name), "reason": reason, "fault": fault}) for name, reason, fault in bad]
    write_whole(path, "".join(as_text(line) + "\n" for line in lines))


def told(bad, total):
    """What is said of them."""
    named = ["%s: %s" % (shown(name), reason) for name, reason, _fault in bad[:TOLD]]
    more = ["and %s more" % number(len(bad) - TOLD)] if len(bad) > TOLD else []
    words = "%s of %s pictures cannot be used:\n  %s"
    return words % (number(len(bad)), number(total), "\n  ".join(named + more))
