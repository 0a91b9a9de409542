# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""cuDNN inside a CUDA tree: what is there, and its swap for another release as a transaction.

The order is what makes it safe. A journal says what there was and what there will be; then every old file gets a
second name in the backup; only then are new files renamed over the old ones. Whatever moment a swap is killed at,
each old file is in its place or in the backup, and the journal says which. Runs under Python 2.7 and 3 and needs
nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import glob
import hashlib
import io
import os
import re
import shutil
import stat
import struct
import sys
import tarfile

from ..host.commands import output_of
from ..host.errors import StackError
from ..host.files import file_sha256, make_directory, read_json, read_text, remove, write_json, write_whole
from ..host.texts import as_text
from ..rules import codes

OURS = ".neuraltalk-cudnn"
"""The directory in the CUDA tree that holds the journal, and the new files until they are in place."""
LIBRARIES = re.compile(r"^libcudnn(\.so(\.\d+)*|_static(_v\d+)?\.a)$")
HEADERS = ("cudnn.h", "cudnn_version.h")
MACHINES = {62: "x86_64", 183: "aarch64", 21: "ppc64le"}
SPARE = 16 << 20
"""Bytes that stay free beside the new files."""
LOADER_FILE = "/etc/ld.so.conf.d/neuraltalk-cudnn-%s.conf"
"""One for each CUDA directory."""


def number_to_version(number):
    """`5.0.5` of the 5005 that cudnnGetVersion returns; cuDNN 9 counts in ten thousands."""
    thousands = 10000 if number >= 90000 else 1000
    return "%d.%d.%d" % (number // thousands, number % thousands // 100, number % 100)


def major(version):
    """The first number of a version; 0 of none."""
    return int(version.split(".")[0]) if version else 0


def header_version(include):
    """What the header in a directory says; empty where there is none or it says nothing."""
    text = "".join(read_text(os.path.join(include, name)) or "" for name in HEADERS)
    found = [re.search(r"^#define CUDNN_%s\s+(\d+)" % part, text, re.M) for part in ("MAJOR", "MINOR", "PATCHLEVEL")]
    return ".".join(match.group(1) for match in found) if all(found) else ""


def library_version(path):
    """What the library itself returns from cudnnGetVersion; asked in a process of its own, which may die of it."""
    program = (
        "import ctypes, sys; ask = ctypes.CDLL(sys.argv[1]).cudnnGetVersion; "
        "ask.restype = ctypes.c_size_t; print('cudnn %d' % ask())"
    )
    text, code = output_of([sys.executable, "-c", program, path], patience=None)
    answer = re.search(r"^cudnn (\d+)$", text, re.M)
    if code or not answer:
        last = text.strip().splitlines()[-1:] or ["rc %s" % code]
        raise StackError("%s does not tell its version: %s" % (path, last[0]))
    return number_to_version(int(answer.group(1)))


def machine_of(path):
    """The machine that an ELF file is for; empty where it is none."""
    with io.open(path, "rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return ""
    number = struct.unpack("<H", head[18:20])[0]
    return MACHINES.get(number, "machine %d" % number)


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

    def library(self):
        """The library that programs get: libcudnn.so, else the one with the highest number; None without one."""
        numbered = sorted(glob.glob(os.path.join(self.lib, "libcudnn.so.*")), key=_numbers)
        plain = os.path.join(self.lib, "libcudnn.so")
        return plain if os.path.exists(plain) else numbered[-1] if numbered else None


def _numbers(path):
    return [int(number) for number in re.findall(r"\.(\d+)", path)]


def inspect(tree):
    """What is in the tree: the versions that header and library tell, and whether they are of one piece.

    `state` is absent, whole, mixed (header and library disagree) or unfinished (a swap was interrupted).
    """
    journal = tree.journal() or {}
    library = tree.library()
    header, problem, version = header_version(tree.include), "", ""
    try:
        version = library_version(library) if library else ""
    except StackError as error:
        problem = str(error)
    whole = bool(header) and header == version
    state = "whole" if whole else "absent" if not (header or library) else "mixed"
    if journal.get("phase") in ("swapping", "restoring"):
        state = "unfinished"
    return {
        "root": tree.root,
        "state": state,
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


def check_tree(tree):
    """StackError where the tree is not one that can be changed as a whole."""
    if os.path.islink(tree.root):
        raise StackError(
            "%s is a link, which somebody may point elsewhere meanwhile: name the directory itself, %s"
            % (tree.root, os.path.realpath(tree.root))
        )
    for place in (tree.root, tree.include, tree.lib):
        if not os.path.isdir(place):
            raise StackError("%s is not there: %s is no CUDA directory" % (place, tree.root))
        if not os.access(place, os.W_OK) or os.statvfs(place).f_flag & getattr(os, "ST_RDONLY", 1):
            raise StackError("%s cannot be written by uid %d" % (place, os.geteuid()), code=codes.FILE_DENIED)
    if len(set(os.stat(place).st_dev for place in (tree.root, tree.include, tree.lib))) > 1:
        raise StackError("%s, its include and its lib64 lie on several file systems" % tree.root)


def stage(tree, archive, version, machine):
    """Unpack the archive's cuDNN beside what is there and try it; {name: what it is}. Touches nothing in use."""
    place = os.path.join(tree.ours, "new")
    shutil.rmtree(place, ignore_errors=True)
    try:
        with_room(tree, archive)
        unpack(archive, place)
        new = Tree(place)
        seen = inspect(new)
        library = new.library()
        if library and machine_of(library) != machine:
            raise StackError(
                "%s holds a cuDNN for %s, and this host is a %s" % (archive, machine_of(library) or "?", machine)
            )
        if seen["state"] != "whole" or (version and seen["library"] != version):
            raise StackError(
                "%s is not whole: its header says %s, its library %s, expected %s. %s"
                % (archive, seen["header"] or "-", seen["library"] or "-", version or "one version", seen["problem"])
            )
        return dict((name, describe(new.path(name))) for name in new.names())
    except Exception:
        shutil.rmtree(place, ignore_errors=True)
        raise


def with_room(tree, archive):
    """StackError where the archive's files would fill the disk."""
    needed = sum(member.size for member, _name in members(archive)) + SPARE
    state = os.statvfs(tree.root)
    free = state.f_bavail * state.f_frsize
    if free < needed:
        words = "%s has %d bytes free, and the new cuDNN needs %d: make room" % (tree.root, free, needed)
        raise StackError(words, code=codes.DISK_FULL)


def members(archive):
    """[(member, name in the tree)] of cuDNN's files in an archive, whatever directory they stand in."""
    try:
        with tarfile.open(archive) as tar:
            listed = tar.getmembers()
    except (tarfile.TarError, EOFError, IOError, OSError, ValueError) as error:
        raise StackError("%s is not a whole archive: %s" % (archive, error))
    found = []
    for member in listed:
        folder, name = os.path.split(member.name)
        folder = {"lib": "lib64"}.get(os.path.basename(folder), os.path.basename(folder))
        fits = name in HEADERS if folder == "include" else folder == "lib64" and LIBRARIES.match(name)
        if not fits or "stubs" in member.name.split("/"):
            continue
        if not (member.isfile() or (member.issym() and "/" not in member.linkname)):
            raise StackError("%s: %s is neither a file nor a link beside itself" % (archive, member.name))
        found.append((member, folder + "/" + name))
    if not found:
        raise StackError("%s holds no cuDNN: no include/cudnn.h, no lib64/libcudnn.so" % archive)
    return found


def unpack(archive, place):
    """Write cuDNN's files with their modes and times; durable when this returns."""
    wanted = members(archive)
    try:
        with tarfile.open(archive) as tar:
            for member, name in wanted:
                path = os.path.join(place, name)
                make_directory(os.path.dirname(path))
                if member.issym():
                    os.symlink(member.linkname, path)
                    continue
                with io.open(path, "wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(path, member.mode & 0o755)
                os.utime(path, (member.mtime, member.mtime))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise StackError("%s is not a whole archive: %s" % (archive, error))
    except (IOError, OSError) as error:
        words = "%s could not be unpacked to %s: %s" % (archive, place, error.strerror or error)
        raise StackError(words, code=codes.of_errno(error.errno))


def refusal(seen, version, foreign):
    """Why a tree in that state is not swapped without being told so; empty where it is."""
    there = seen["library"] or seen["header"]
    if foreign or seen["state"] == "absent" or (seen["state"] == "whole" and major(there) < major(version)):
        return ""
    if seen["state"] == "mixed":
        return "%s is no whole cuDNN: its header says %s, its library %s%s" % (
            seen["root"], seen["header"] or "nothing", seen["library"] or "nothing",
            " (%s)" % seen["problem"] if seen["problem"] else "",
        )  # fmt: skip
    return "%s holds cuDNN %s, which is newer than the %s that would replace it" % (seen["root"], there, version)


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
                raise StackError("another swap is at work in %s" % self.tree.root, code=codes.BUSY)
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
        if is_done(seen, version):
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
        label = "cudnn_v%d" % major(seen["header"] or seen["library"])
        old = dict((name, describe(tree.path(name))) for name in tree.names())
        taken = [path for path in (tree.backup(name, label) for name in old) if os.path.lexists(path)]
        if taken:
            raise StackError("%s is there already, and not by our hand: move it away. Nothing was changed" % taken[0])
        new = stage(tree, archive, version, machine)
        journal = {
            "phase": "swapping", "label": label, "old": old, "new": new, "version": version,
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
                raise StackError("%s. What was there is back" % error, **error.details)
            if isinstance(error, (IOError, OSError)):
                words = "%s: %s. What was there is back" % (error.filename, error.strerror)
                raise StackError(words, code=codes.of_errno(error.errno))
            raise
        shutil.rmtree(os.path.join(tree.ours, "new"), ignore_errors=True)
        write_json(tree.journal_file, dict(journal, phase="swapped"))
        from_words = "cuDNN %s" % (seen["header"] or seen["library"]) if old else "nothing"
        return words + ["%s replaced by cuDNN %s in %s" % (from_words, version, tree.root)]


def is_done(seen, version):
    """Whether the tree already holds a whole cuDNN of that branch: bindings speak to any 5.x alike."""
    return seen["state"] == "whole" and major(seen["library"]) == major(version)


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
                "%s was changed by somebody since the swap, and restoring would lose it: move it away. "
                "Nothing was changed" % tree.path(changed[0])
            )
        remarks = bring_back(tree, journal, loader)
        words = "cuDNN %s taken out of %s, and what was there before is back" % (journal["version"], tree.root)
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
    if not journal or journal["phase"] == "swapped":
        shutil.rmtree(os.path.join(tree.ours, "new"), ignore_errors=True)
        return []
    remarks = bring_back(tree, journal, loader)
    return ["an interrupted swap in %s was undone: what was there before is back" % tree.root] + remarks


def bring_back(tree, journal, loader=None):
    """Every old file in its place again, every new one gone; remarks.

    From any point at which a swap can have stopped; nothing is touched where an old file is lost. A swap that is
    undone is not written down as such first: a full disk must not stop what needs no room.
    """
    for name, old in sorted(journal["old"].items()):
        kept, path = tree.backup(name, journal["label"]), tree.path(name)
        if not os.path.lexists(kept) and not (os.path.lexists(path) and describe(path) == old):
            raise StackError("%s is gone from its place and from %s" % (path, os.path.dirname(kept)))
    if journal["phase"] == "swapped":
        write_json(tree.journal_file, dict(journal, phase="restoring"))
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
        raise StackError("not as it was: %s" % ", ".join(tree.path(name) for name in wrong))
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
        return ["the files are right, but the loader was not told: %s" % error]
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


def register(tree, version, loader):
    """Have the loader know the new library."""
    if loader is None:
        return
    soname = "libcudnn.so.%d" % major(version)
    wanted = os.path.realpath(os.path.join(tree.lib, soname))
    loader.refresh()
    if wanted not in loader.known(soname):
        loader.add(tree.lib)
        loader.refresh()
    known = loader.known(soname)
    if wanted not in known:
        raise StackError("ldconfig does not find %s in %s; it knows %s" % (soname, tree.lib, known or "none"))


class Loader(object):
    """ldconfig and its configuration."""

    def __init__(self, root, file="", command="ldconfig"):
        self.file = file or LOADER_FILE % hashlib.sha256(root.encode("utf-8")).hexdigest()[:8]
        self.command = command

    def _run(self, *options):
        path = os.environ.get("PATH", "") + ":/sbin:/usr/sbin"
        text, code = output_of([self.command] + list(options), patience=None, environment={"PATH": path})
        if code is None:
            raise StackError("%s cannot be run: there is no such program" % self.command)
        if code:
            raise StackError("%s ended with %d: %s" % (self.command, code, text.strip()))
        return text

    def refresh(self):
        """Have it read all directories again."""
        self._run()

    def known(self, soname):
        """The files that it would load for a soname, links resolved."""
        found = re.findall(r"^\s*%s \(.*\) => (.+)$" % re.escape(soname), self._run("-p"), re.M)
        return [os.path.realpath(path) for path in found]

    def add(self, directory):
        """Have it look into a directory."""
        write_whole(self.file, "# Written by neuraltalk-provision for cuDNN.\n%s\n" % directory)
