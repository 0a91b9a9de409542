# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Unpacks a packed generation (rules/pack.py) beside the others, and gives it its place by one rename.

All is done in <stack_root>/build/<id>.part, with stamps, manifest and seal: a kill at any moment leaves no generation
or a whole one. What it leaves in build/ is removed by the next attempt.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import hashlib
import io
import os
import posixpath
import shutil
import stat
import time

from . import installed, manifest, packing
from .archives import BLOCK, refusing
from .errors import StackError
from .files import file_sha256, make_directory, naming, remove, sync, sync_tree, write_json
from .stamps import read_stamps, stamp_path
from .texts import as_native, text_of
from ..rules import archives, codes, layout, pack
from ..rules.archive_tree import FILE


def part_of(root, name):
    """The directory in which a generation is unpacked before it has its place."""
    return posixpath.join(root, layout.BUILD, name + ".part")


def is_whole(root, name, components):
    """Whether the generation is already there, sealed, with all these components, {name: digest}."""
    generation = layout.generation(root, name)
    return manifest.has_manifest(generation) and read_stamps(generation) == components


class Unpacking(object):
    """One generation that is unpacked: `artifacts` is {sha256: path} of the mirror's files on this host."""

    def __init__(self, root, name, artifacts, outside):
        self.root, self.name = root, name
        self.artifacts, self.outside = artifacts, outside
        self.final, self.part = layout.generation(root, name), part_of(root, name)

    def refuse_in_use(self, use):
        """StackError if the generation is current or in use: then only a build can complete it, where it is.

        `use` says how runs or programs use it, and is empty if none does. One that is not there is not used.
        """
        current = layout.current(self.root)
        if os.path.islink(current) and os.path.basename(os.readlink(current)) == self.name:
            reason = "is current"
        elif use and os.path.isdir(self.final):
            reason = use
        else:
            return
        raise StackError(
            "generation %s is there, is not complete, and %s, so it is not replaced by the packed one: its components "
            "are built again in their place" % (self.name, reason),
            code=codes.CACHE_UNFIT,
        )

    def unpack(self, src, sha256, size, components, architectures, origin, packages):
        """Unpack the tar `src`, stamp the components and seal. StackError if anything is not as it was packed.

        `components` is {name: digest}, `origin` says where the generation was built, and `packages` are the OS packages
        that it needs when it is used. `architectures` is what its GPU part was built for.
        """
        self.sweep()
        try:
            make_directory(self.part)
            with io.open(src, "rb") as file:
                self.check_digest(file, src, sha256, size)
                with refusing(src):
                    entries = self.unpack_files(file, src)
            self.add_directories_and_links(entries)
            self.stamp(components, origin)
            installed.write(self.part, self.installed(entries, components))
            digest = manifest.write(self.part, installed.read(self.part))
            self.compare(entries)
            unpacked = {"origin": origin, "packages": packages}
            manifest.write_seal(self.part, self.name, components, digest, architectures, unpacked)
            sync_tree(self.part)
            self.put_in_place()
        except Exception:
            self.sweep()
            raise
        self.sweep()
        packing.sweep(self.root, src)
        return len(entries)

    def sweep(self):
        """Remove what attempts that were interrupted left, of this generation and of others."""
        for path in glob.glob(os.path.join(self.root, layout.BUILD, "*.part*")):
            if os.path.islink(path):
                remove(path)
            elif os.path.isdir(path):
                shutil.rmtree(path)

    @staticmethod
    def check_digest(file, src, sha256, size):
        digest, count = hashlib.sha256(), 0
        for block in iter(lambda: file.read(BLOCK), b""):
            digest.update(block)
            count += len(block)
            if count > size:
                break
        if (count, digest.hexdigest()) != (size, sha256):
            raise StackError("%s is not the packed generation that was sent: its SHA-256 or size differs" % src)
        file.seek(0)

    def unpack_files(self, file, src):
        """Write the files of the tar. Returns the entries of its list."""
        entries, waiting = None, {}
        for member in archives.entries(file, 0):
            if entries is None:
                entries = self.listing(member, src)
                waiting = dict((as_native(entry.path), entry) for entry in entries if entry.type == pack.FILE)
                self.make_directories(entries)
                continue
            entry = waiting.pop(member.name, None)
            if entry is None or member.kind != FILE or member.target or member.size != entry.size:
                raise StackError("%s contains %s, which its list does not describe so" % (src, member.name))
            self.write(entry, member.content)
        for path in sorted(waiting):
            self.restore(path, waiting[path], src)
        return entries

    def listing(self, member, src):
        if member.name != pack.LISTING or member.kind != FILE or member.size > pack.LARGEST_LISTING:
            raise StackError("%s is not a packed generation: it does not begin with a list of its files" % src)
        data = b"".join(iter(lambda: member.content.read(BLOCK), b""))
        try:
            entries = pack.read(data)
        except ValueError as error:
            raise StackError("%s is not a packed generation: %s" % (src, text_of(error)))
        leading_out = pack.links_out(entries, self.final, self.outside)
        if leading_out:
            raise StackError("%s contains a link that leads out of it: %s" % (src, as_native(leading_out[0])))
        return entries

    def path(self, name):
        return os.path.join(self.part, as_native(name))

    def make_directories(self, entries):
        os.chmod(self.part, 0o755)
        for name in [entry.path for entry in entries if entry.type == pack.DIRECTORY] + [layout.LOGS, layout.STAMPS]:
            os.mkdir(self.path(name), 0o755)
            os.chmod(self.path(name), 0o755)

    def write(self, entry, content):
        path, digest = self.path(entry.path), hashlib.sha256()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
        with naming(path), os.fdopen(handle, "wb") as target:
            for block in iter(lambda: content.read(BLOCK), b""):
                digest.update(block)
                target.write(block)
        if digest.hexdigest() != entry.sha256:
            raise StackError("%s is not as it was packed" % as_native(entry.path))
        os.chmod(path, int(entry.mode, 8))
        os.utime(path, (pack.DATE, pack.DATE))

    def restore(self, path, entry, src):
        """Give a file that was left out the content of the mirror's artifact: by a hard link, or else as a copy."""
        artifact = self.artifacts.get(as_native(entry.sha256))
        if artifact is None:
            raise StackError("%s lacks %s, and no artifact on this host has its SHA-256" % (src, path))
        found = os.lstat(artifact)
        if not stat.S_ISREG(found.st_mode) or file_sha256(artifact) != entry.sha256:
            raise StackError("%s is no longer the mirror's file, so %s cannot be restored" % (artifact, path))
        if "%04o" % stat.S_IMODE(found.st_mode) == entry.mode:
            try:
                return os.link(artifact, self.path(entry.path))
            except EnvironmentError as error:
                if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                    raise
        with io.open(artifact, "rb") as content:
            return self.write(entry, content)

    def add_directories_and_links(self, entries):
        """Links come last, so that no file can be written through one."""
        for entry in entries:
            if entry.type == pack.LINK:
                os.symlink(as_native(entry.target), self.path(entry.path))

    def stamp(self, components, origin):
        for name in sorted(components):
            evidence = "unpacked: %s" % origin
            stamp = {"digest": components[name], "evidence": evidence, "built": int(time.time())}
            write_json(stamp_path(self.part, name), stamp)

    def installed(self, entries, components):
        """The list of what is installed: what was unpacked, and the stamps."""
        listed = dict((entry.path, _as_installed(entry)) for entry in entries)
        for path in [layout.STAMPS] + [stamp_path("", name) for name in sorted(components)]:
            listed[path] = dict(manifest.describe(os.path.join(self.part, path)), component="")
        return listed

    def compare(self, entries):
        """StackError if what was unpacked is not what the list describes."""
        listed = dict(
            (path, entry)
            for path, entry in manifest.read_lines(self.part).items()
            if path.split("/")[0] not in pack.NOT_PACKED
        )
        wrong = pack.differences(pack.packed(listed), entries)
        if wrong:
            raise StackError("%s was not unpacked as it was packed" % as_native(wrong[0][0]))

    def put_in_place(self):
        make_directory(os.path.dirname(self.final))
        if os.path.lexists(self.final):
            os.rename(self.final, self.part + ".old")
        os.rename(self.part, self.final)
        sync(os.path.dirname(self.final))


def _as_installed(entry):
    """An entry of the list in a tar, as in the list of what components installed."""
    fields = ["type", "target"] if entry.type == pack.LINK else ["type", "mode"]
    if entry.type == pack.FILE:
        fields += ["size", "sha256"]
    return dict([(name, getattr(entry, name)) for name in fields], component="")
