# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The swap of a cuDNN for another release as a transaction, and the way back.

The order is what makes it safe. A journal says what there was and what there will be; then every old file gets a
second name in the backup; only then are new files renamed over the old ones. Whatever moment a swap is killed at,
each old file is in its place or in the backup, and the journal says which.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import io
import os
import shutil

from ..host.errors import StackError
from ..host.files import make_directory, remove, write_json
from ..rules import codes
from ..rules.cudnn import MIXED, NEWER, RESTORING, SWAPPED, SWAPPING, branch, is_in_place, obstacle
from .archive import stage
from .inspection import describe, inspect, users
from .ldconfig import register


def check_tree(tree):
    """StackError where the tree is not one that can be changed as a whole."""
    if os.path.islink(tree.root):
        raise StackError(
            "%s is a link, which could be changed during the swap: name the directory itself, %s"
            % (tree.root, os.path.realpath(tree.root))
        )
    for place in (tree.root, tree.include, tree.lib):
        if not os.path.isdir(place):
            raise StackError("%s does not exist: %s is not a CUDA directory" % (place, tree.root))
        if not os.access(place, os.W_OK) or os.statvfs(place).f_flag & getattr(os, "ST_RDONLY", 1):
            raise StackError("%s cannot be written by uid %d" % (place, os.geteuid()), code=codes.FILE_DENIED)
    if len(set(os.stat(place).st_dev for place in (tree.root, tree.include, tree.lib))) > 1:
        raise StackError("%s, its include and its lib64 are on different file systems" % tree.root)


def refusal(seen, version, foreign):
    """Why the cuDNN of a CUDA directory is not replaced unless the user asks for it; empty where it is replaced."""
    why = "" if foreign else obstacle(seen["state"], seen["library"], version)
    if why == MIXED:
        return "%s is not a complete cuDNN: its header says %s, its library %s%s" % (
            seen["root"], seen["header"] or "nothing", seen["library"] or "nothing",
            " (%s)" % seen["problem"] if seen["problem"] else "",
        )  # fmt: skip
    if why == NEWER:
        words = "%s holds cuDNN %s, which is newer than the %s that would replace it"
        return words % (seen["root"], seen["library"], version)
    return ""


class Locked(object):
    """Nobody else swaps in this tree meanwhile."""

    def __init__(self, tree):
        self.tree = tree

    def __enter__(self):
        path = os.path.join(self.tree.ours, "lock")
        while True:
            make_directory(self.tree.ours)
            self.file = io.open(path, "a")
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (IOError, OSError):
                self.file.close()
                raise StackError("another swap is running in %s" % self.tree.root, code=codes.BUSY)
            # Whoever held it before may have removed the directory: then this is the lock of nothing.
            if os.path.exists(path) and os.fstat(self.file.fileno()).st_ino == os.stat(path).st_ino:
                return self
            self.file.close()

    def __exit__(self, *_error):
        if not os.path.exists(self.tree.journal_file):
            shutil.rmtree(self.tree.ours, ignore_errors=True)
        self.file.close()


def swap(tree, archive, version, machine, in_use=False, foreign=False, loader=None):
    """Put the archive's cuDNN in the place of what is there; what was done, in words. Finishes what was begun.

    `in_use` swaps under running processes (they keep the files that they have mapped), `foreign` also replaces
    what is newer or of two pieces. Raises StackError, with the tree as it was, for every reason not to.
    """
    check_tree(tree)
    with Locked(tree):
        words = recover(tree, loader)
        seen = inspect(tree)
        if is_in_place(seen["state"], seen["library"], version):
            return words
        reason = refusal(seen, version, foreign)
        if reason:
            raise StackError(reason + ". Nothing was changed", code=codes.CUDNN_FOREIGN)
        if tree.journal():
            raise StackError("%s was swapped before and holds another cuDNN now; restore it first" % tree.root)
        mapped = users(tree)
        if mapped and not in_use:
            raise StackError(
                "%s is in use by %s. Nothing was changed"
                % (mapped[0]["file"], ", ".join("pid %(pid)d (%(command)s)" % user for user in mapped[:5])),
                code=codes.CUDNN_IN_USE,
            )
        label = "cudnn_v%d" % branch(seen["header"] or seen["library"])
        old = dict((name, describe(tree.path(name))) for name in tree.names())
        taken = [path for path in (tree.backup(name, label) for name in old) if os.path.lexists(path)]
        if taken:
            raise StackError("%s exists already, and no swap created it: move it away. Nothing was changed" % taken[0])
        new = stage(tree, archive, version, machine)
        journal = {
            "phase": SWAPPING, "label": label, "old": old, "new": new, "version": version,
            "loader": loader.file if loader and not os.path.exists(loader.file) else "",
        }  # fmt: skip
        write_json(tree.journal_file, journal)
        try:
            replace(tree, journal)
            register(tree, version, loader)
            after = inspect(tree)
            if (after["header"], after["library"]) != (version, version):
                raise StackError(
                    "afterwards the header said %s and the library %s, expected %s %s"
                    % (after["header"] or "-", after["library"] or "-", version, after["problem"])
                )
        except Exception as error:
            bring_back(tree, journal, loader)
            if isinstance(error, StackError):
                raise StackError("%s. The previous state was restored" % error, **error.details)
            if isinstance(error, (IOError, OSError)):
                words = "%s: %s. The previous state was restored" % (error.filename, error.strerror)
                raise StackError(words, code=codes.of_errno(error.errno))
            raise
        shutil.rmtree(os.path.join(tree.ours, "new"), ignore_errors=True)
        write_json(tree.journal_file, dict(journal, phase=SWAPPED))
        from_words = "cuDNN %s" % (seen["header"] or seen["library"]) if old else "nothing"
        return words + ["%s replaced by cuDNN %s in %s" % (from_words, version, tree.root)]


def replace(tree, journal):
    """Second names for all that is old, then new files over the old ones, then away with what has no successor."""
    for name in sorted(journal["old"]):
        path = tree.backup(name, journal["label"])
        make_directory(os.path.dirname(path))
        second_name(tree.path(name), path)
    _durable(tree)
    for name in sorted(journal["new"]):
        os.rename(tree.staged(name), tree.path(name))
    for name in sorted(set(journal["old"]) - set(journal["new"])):
        os.unlink(tree.path(name))
    _durable(tree)


def second_name(path, other):
    """A hard link, of a link itself too: a name more for the same file, with all that belongs to it."""
    if os.link in getattr(os, "supports_follow_symlinks", ()):
        os.link(path, other, follow_symlinks=False)
    else:
        os.link(path, other)


def restore(tree, loader=None):
    """Bring back, byte for byte, what the swap replaced; what was done, in words."""
    check_tree(tree)
    with Locked(tree):
        words = recover(tree, loader)
        journal = tree.journal()
        if words or not journal:
            return words
        changed = [name for name, new in sorted(journal["new"].items()) if is_other(tree.path(name), new)]
        if changed:
            raise StackError(
                "%s was changed after the swap, and restoring would lose that change: move it away. "
                "Nothing was changed" % tree.path(changed[0])
            )
        remarks = bring_back(tree, journal, loader)
        words = "cuDNN %s was removed from %s, and the previous files were restored" % (journal["version"], tree.root)
        return [words] + remarks


def is_other(path, record):
    """Whether another file lies there than the one that was recorded; one that is gone is no other."""
    if not os.path.lexists(path):
        return False
    seen = describe(path)
    return any(seen.get(key) != record.get(key) for key in ("kind", "target", "sha256"))


def recover(tree, loader=None):
    """Undo a swap, or finish a restoration, that was interrupted; what was done, in words."""
    journal = tree.journal()
    if not journal or journal["phase"] == SWAPPED:
        shutil.rmtree(os.path.join(tree.ours, "new"), ignore_errors=True)
        return []
    remarks = bring_back(tree, journal, loader)
    return ["an interrupted swap in %s was undone: the previous files were restored" % tree.root] + remarks


def bring_back(tree, journal, loader=None):
    """Every old file in its place again, every new one gone; remarks.

    From any point at which a swap can have stopped; nothing is touched where an old file is lost. A swap that is
    undone is not written down as such first: a full disk must not stop what needs no room.
    """
    for name, old in sorted(journal["old"].items()):
        kept, path = tree.backup(name, journal["label"]), tree.path(name)
        if not os.path.lexists(kept) and not (os.path.lexists(path) and describe(path) == old):
            raise StackError("%s is missing, both in its place and in %s" % (path, os.path.dirname(kept)))
    if journal["phase"] == SWAPPED:
        write_json(tree.journal_file, dict(journal, phase=RESTORING))
    for name in sorted(journal["old"]):
        kept = tree.backup(name, journal["label"])
        if os.path.lexists(kept):
            os.rename(kept, tree.path(name))
            remove(kept)  # two names of one file: renaming one to the other does nothing
    for name in sorted(set(journal["new"]) - set(journal["old"])):
        path = tree.path(name)
        if os.path.lexists(path) and describe(path)["kind"] == journal["new"][name]["kind"]:
            os.unlink(path)
    _durable(tree)
    wrong = [name for name, old in sorted(journal["old"].items()) if describe(tree.path(name)) != old]
    if wrong:
        raise StackError("not restored as they were: %s" % ", ".join(tree.path(name) for name in wrong))
    for folder in ("include", "lib64"):
        _remove_empty(os.path.join(tree.root, folder, journal["label"]))
    if journal.get("loader"):
        remove(journal["loader"])
    shutil.rmtree(os.path.join(tree.ours, "new"), ignore_errors=True)
    remove(tree.journal_file)
    try:
        if loader:
            loader.refresh()
    except StackError as error:
        return ["the files are correct, but the cache of the loader was not updated: %s" % error]
    return []


def _remove_empty(directory):
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def _durable(tree):
    for place in (tree.include, tree.lib):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
