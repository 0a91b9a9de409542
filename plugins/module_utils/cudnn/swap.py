# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Replaces a cuDNN by another version as a transaction, and restores the old one.

The order of the steps makes it safe. First a journal records the old and the new files. Then every old file gets a
hard link in the backup. Only then are the new files renamed over the old ones. If a swap is killed at any time, each
old file is in its place or in the backup, and the journal lists it.

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
from ..host.files import make_directory, remove, remove_remains, sync, write_json
from ..rules import codes
from ..rules.cudnn import MIXED, NEWER, RESTORING, SWAPPED, SWAPPING, branch, is_in_place, obstacle
from .archive import stage
from .inspection import describe, inspect, refuse_unsafe, users
from .ldconfig import register


def check_tree(tree):
    """StackError if cuDNN cannot be replaced here: no CUDA directory, not writable or unsafe, or on several disks."""
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
        refuse_unsafe(place, creates=True)
    if os.path.isdir(tree.ours):
        refuse_unsafe(tree.ours, creates=True)
    if len(set(os.stat(place).st_dev for place in (tree.root, tree.include, tree.lib))) > 1:
        raise StackError("%s, its include and its lib64 are on different file systems" % tree.root)


def refusal(cudnn, version, foreign):
    """The reason not to replace the cuDNN of a CUDA directory unless `foreign` is set; empty if there is none."""
    reason = "" if foreign else obstacle(cudnn["state"], cudnn["library"], version)
    if reason == MIXED:
        return "%s is not a complete cuDNN: its header says %s, its library %s%s" % (
            cudnn["root"], cudnn["header"] or "nothing", cudnn["library"] or "nothing",
            " (%s)" % cudnn["problem"] if cudnn["problem"] else "",
        )  # fmt: skip
    if reason == NEWER:
        message = "%s contains cuDNN %s, which is newer than the %s that would replace it"
        return message % (cudnn["root"], cudnn["library"], version)
    return ""


def refuse(tree, cudnn, version, foreign):
    """Raise the StackError because of which the cuDNN in the tree, whose state is `cudnn`, is not replaced."""
    reason = refusal(cudnn, version, foreign)
    if reason:
        raise StackError(reason + ". Nothing was changed", code=codes.CUDNN_FOREIGN)
    if tree.journal():
        raise StackError("%s was swapped before and contains another cuDNN now; restore it first" % tree.root)


def refuse_users(tree):
    """StackError with the processes that use the cuDNN in the tree."""
    mapped = users(tree)
    if mapped:
        raise StackError(
            "%s is in use by %s. Nothing was changed"
            % (mapped[0]["file"], ", ".join("pid %(pid)d (%(command)s)" % user for user in mapped[:5])),
            code=codes.CUDNN_IN_USE,
        )


class Lock(object):
    """The lock of a CUDA directory, so that only one swap at a time runs in it."""

    def __init__(self, tree):
        self.tree = tree

    def __enter__(self):
        path = os.path.join(self.tree.ours, "lock")
        while True:
            make_directory(self.tree.ours)
            self.file = io.open(path, "a")
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (IOError, OSError) as error:
                self.file.close()
                if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                    raise StackError("another swap is running in %s" % self.tree.root, code=codes.BUSY)
                message = "%s cannot be locked: %s. A CUDA directory must be on a file system that has locks (flock)"
                raise StackError(message % (path, error.strerror))
            # The previous holder may have removed the lock file after we opened it. Then open it again.
            if os.path.exists(path) and os.fstat(self.file.fileno()).st_ino == os.stat(path).st_ino:
                return self
            self.file.close()

    def __exit__(self, *_error):
        if not os.path.exists(self.tree.journal_file):
            shutil.rmtree(self.tree.ours, ignore_errors=True)
        self.file.close()


def swap(tree, archive, version, machine, in_use=False, foreign=False, loader=None, check=None):
    """Replace the installed cuDNN by the archive's. Returns the steps that were done, as text.

    An interrupted swap is undone first. `in_use` allows a swap while processes use cuDNN; they keep the old files.
    `foreign` allows to replace a newer or mixed cuDNN. `check` is called before anything is changed; no other swap
    can begin then. If it or this raises a StackError, the old cuDNN is installed as before.
    """
    check_tree(tree)
    with Lock(tree):
        if check:
            check()
        steps = recover(tree, loader)
        before = inspect(tree)
        if is_in_place(before["state"], before["library"], version):
            return steps
        refuse(tree, before, version, foreign)
        if not in_use:
            refuse_users(tree)
        label = "cudnn_v%d" % branch(before["header"] or before["library"])
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
            write_json(tree.journal_file, dict(journal, phase=SWAPPED))
        except Exception as error:
            restore_files(tree, journal, loader)
            if isinstance(error, StackError):
                raise StackError("%s. The previous state was restored" % error, **error.details)
            if isinstance(error, (IOError, OSError)):
                message = "%s: %s. The previous state was restored" % (error.filename or tree.root, error.strerror)
                raise StackError(message, code=codes.of_errno(error.errno))
            raise
        shutil.rmtree(tree.new, ignore_errors=True)
        replaced = "cuDNN %s" % (before["header"] or before["library"]) if old else "nothing"
        return steps + ["%s replaced by cuDNN %s in %s" % (replaced, version, tree.root)]


def replace(tree, journal):
    """Link the old files into the backup, rename the new files over them, then remove old files without a new one."""
    for name in sorted(journal["old"]):
        path = tree.backup(name, journal["label"])
        make_directory(os.path.dirname(path))
        hard_link(tree.path(name), path)
    _sync(tree)
    for name in sorted(journal["new"]):
        os.rename(tree.staged(name), tree.path(name))
    for name in sorted(set(journal["old"]) - set(journal["new"])):
        os.unlink(tree.path(name))
    _sync(tree)


def hard_link(path, other):
    """Create `other` as a hard link to `path`. If `path` is a symbolic link, it is not followed."""
    if os.link in getattr(os, "supports_follow_symlinks", ()):
        os.link(path, other, follow_symlinks=False)
    else:
        os.link(path, other)


def restore(tree, loader=None):
    """Restore the files that the swap replaced. Returns the steps that were done, as text."""
    check_tree(tree)
    with Lock(tree):
        steps = recover(tree, loader)
        journal = tree.journal()
        if steps or not journal:
            return steps
        changed = [name for name, new in sorted(journal["new"].items()) if is_changed(tree.path(name), new)]
        if changed:
            raise StackError(
                "%s was changed after the swap, and restoring would lose that change: move it away. "
                "Nothing was changed" % tree.path(changed[0])
            )
        remarks = restore_files(tree, journal, loader)
        step = "cuDNN %s was removed from %s, and the previous files were restored" % (journal["version"], tree.root)
        return [step] + remarks


def is_changed(path, record):
    """Whether the file differs from its record in the journal. A missing file does not count as changed."""
    if not os.path.lexists(path):
        return False
    found = describe(path)
    return any(found.get(key) != record.get(key) for key in ("kind", "target", "sha256"))


def recover(tree, loader=None):
    """Undo an interrupted swap, or finish an interrupted restoration. Returns the steps that were done, as text."""
    remove_remains(tree.ours)
    journal = tree.journal()
    if not journal or journal["phase"] == SWAPPED:
        shutil.rmtree(tree.new, ignore_errors=True)
        return []
    remarks = restore_files(tree, journal, loader)
    return ["an interrupted swap in %s was undone: the previous files were restored" % tree.root] + remarks


def restore_files(tree, journal, loader=None):
    """Move every old file back to its place and remove every new one. Returns remarks.

    It works from any step at which a swap can have stopped. If an old file is lost, it changes nothing and raises a
    StackError. It does not record the undoing of a swap in the journal first, so that it also works on a full disk.
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
            remove(kept)  # rename does nothing if both names are hard links to the same file
    for name in sorted(set(journal["new"]) - set(journal["old"])):
        path = tree.path(name)
        if os.path.lexists(path) and describe(path)["kind"] == journal["new"][name]["kind"]:
            os.unlink(path)
    _sync(tree)
    wrong = [name for name, old in sorted(journal["old"].items()) if describe(tree.path(name)) != old]
    if wrong:
        raise StackError("these files were not restored exactly: %s" % ", ".join(tree.path(name) for name in wrong))
    for folder in ("include", "lib64"):
        _remove_empty(os.path.join(tree.root, folder, journal["label"]))
    if journal.get("loader"):
        remove(journal["loader"])
        remove_remains(os.path.dirname(journal["loader"]))
    remarks = []
    try:
        if loader:
            loader.refresh()
    except StackError as error:
        remarks = ["the files are correct, but the cache of the loader was not updated: %s" % error]
    shutil.rmtree(tree.new, ignore_errors=True)
    remove(tree.journal_file)  # the last step: until then the next call does all of this again
    return remarks


def _remove_empty(directory):
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def _sync(tree):
    """Flush the directory entries of include/ and lib64/ to disk."""
    for place in (tree.include, tree.lib):
        sync(place)
