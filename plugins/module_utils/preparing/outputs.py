# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The output files of `data prepare`: names, checks for existing files and free space, and the final renaming.

While they are written, their names end in `.part`. They are renamed at the very end, the HDF5 last. No existing file is
overwritten.

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
from ..host.files import remove, sync_if_possible, write_whole
from ..host.texts import as_text

FILES = 8
"""Files that are created, at most."""
READ_ONLY = 1
"""In statvfs's flags (ST_RDONLY, which Python 2.7 does not name)."""
TOLD = 20
"""Pictures that are named in a message; all of them are in the list."""
SPARE = 1.05


class Outputs(object):
    """The names of all files that are created, as this Python opens them."""

    def __init__(self, h5, json_file):
        self.h5, self.json = h5, json_file
        self.annotations = (json_file[:-5] if json_file.endswith(".json") else json_file) + ".annotations.json"
        self.part = h5 + ".part"
        self.journal = self.part + ".journal"
        self.unreadable = h5 + ".unreadable.jsonl"
        # With a hash of the HDF5's path, because two commands may use the same name for their JSON.
        ours = ".%s.part" % hashlib.sha256(as_bytes(h5)).hexdigest()[:8]
        self.json_part, self.annotations_part = json_file + ours, self.annotations + ours
        self.finals = (self.annotations, self.json, self.h5)

    def parts(self):
        """Return the unfinished files, in the order in which they are renamed."""
        return [self.annotations_part, self.json_part, self.part]

    def refuse(self):
        """StackError if the names are the same, or a folder is missing or not writable."""
        if len(set(os.path.realpath(final) for final in self.finals)) < 3:
            raise StackError("output_h5 and output_json name the same file: %s" % shown(self.h5))
        for field, final in (("output_json", self.json), ("output_h5", self.h5)):
            folder = os.path.dirname(final)
            if not os.path.isdir(folder):
                raise StackError(
                    "%s is to be written into %s, which is not a folder: create it" % (field, shown(folder))
                )
            if os.statvfs(folder).f_flag & READ_ONLY:
                raise StackError("%s is to be written into %s, whose disk is read-only" % (field, shown(folder)))
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StackError("%s may not write into %s, where %s is to be created" % (who(), shown(folder), field))

    def refuse_existing(self):
        """StackError if one of the files exists already."""
        for final in self.finals:
            if os.path.lexists(final):
                words = "%s exists already, and is not overwritten: move it away, or choose another name"
                raise StackError(words % shown(final))

    def refuse_foreign(self):
        """StackError if an unfinished file exists without a journal."""
        for part in self.parts():
            if os.path.lexists(part):
                words = (
                    "%s exists without a journal of this command: another tool, or an older version, created it. Look "
                    "at what it is, then move it away, or choose another name"
                )
                raise StackError(words % shown(part))

    def remove_parts(self):
        """Remove the unfinished files."""
        for part in self.parts():
            remove(part)

    def finish(self):
        """Rename all files that are not renamed yet. StackError if another file has got one of the names meanwhile."""
        for part, final in zip(self.parts(), self.finals):
            place(part, final)
        for folder in set(os.path.dirname(final) for final in self.finals):
            sync_if_possible(folder)


def place(part, final):
    """Rename a file without overwriting another one."""
    if not os.path.lexists(part):
        if os.path.lexists(final):
            return  # a command did that and was killed then
        raise StackError(
            "%s is missing, and was not renamed to %s: remove what is left and start "
            "again" % (shown(part), shown(final))
        )
    try:
        os.link(part, final)
    except (IOError, OSError) as error:
        if error.errno == errno.EEXIST and not os.path.samestat(os.lstat(part), os.lstat(final)):
            words = "%s was created by another process meanwhile: move that away, then run the same command again"
            raise StackError(words % shown(final))
        if error.errno != errno.EEXIST:  # a file system without hard links
            if os.path.lexists(final):
                raise StackError("%s exists already, and is not overwritten: move it away" % shown(final))
            os.rename(part, final)
            return
    os.unlink(part)


def refuse_full(wanted):
    """StackError if the disks lack the space for {path: bytes} plus 5 %. Space already used by a path is subtracted."""
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
            words = "%s are needed on the disk of %s, but only %s are free there: make room, or choose other outputs"
            raise StackError(words % (size(needed), shown(folder), size(free)))
        if disk.f_files and disk.f_favail < FILES:
            words = "the disk of %s has room for %d more files (inodes), but %d are needed: remove some"
            raise StackError(words % (shown(folder), disk.f_favail, FILES))


def write_unreadable(path, bad):
    """Write the list of pictures that cannot be used: [(path, reason, fault)]."""
    lines = [json.dumps({"file": shown(name), "reason": reason, "fault": fault}) for name, reason, fault in bad]
    write_whole(path, "".join(as_text(line) + "\n" for line in lines))


def message_about(bad, total):
    """Return a message about pictures that cannot be used: their number, and the first of them."""
    named = ["%s: %s" % (shown(name), reason) for name, reason, _fault in bad[:TOLD]]
    more = ["and %s more" % number(len(bad) - TOLD)] if len(bad) > TOLD else []
    words = "%s of %s pictures cannot be used:\n  %s"
    return words % (number(len(bad)), number(total), "\n  ".join(named + more))
