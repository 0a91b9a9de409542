# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Packs a sealed generation into one tar. The same files make the same bytes, on any host (rules/pack.py).

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import hashlib
import io
import os
import posixpath
import re
import stat
import tarfile

from . import manifest
from .errors import StackError
from .files import make_directory, naming, remove
from .texts import as_native, text_of
from ..rules import layout, pack


LEFT = re.compile(
    r"(?:pack-[0-9a-f]{16}\.tar(?:\.new)?"
    r"|\.?[0-9a-f]{16}-generation-[0-9a-f]{16}\.tar(?:\.sent|(?:\.[0-9a-f]{16})?\.part)?)\Z"
)
"""Names of packs among the artifacts, and of incomplete ones: none of them stays after the command that needs it."""


def sweep(root, kept=""):
    """Remove the packs that killed commands left among the artifacts, except `kept`. The caller holds the lease."""
    directory = posixpath.join(root, layout.ARTIFACTS)
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        path = posixpath.join(directory, name)
        if LEFT.match(name) and path != kept and not os.path.isdir(path):
            remove(path)


def path_of(root, name):
    """The path of the pack of a generation on its host."""
    return posixpath.join(root, layout.ARTIFACTS, "pack-%s.tar" % name)


def pack_generation(root, name, known, outside):
    """Pack the generation `name` below the stack root `root`. Returns {path, sha256, size, files, left_out}.

    Files whose SHA-256 is one of `known`, the artifacts of the mirror, are left out; `left_out` lists these SHA-256.
    Links may lead out of the generation only below the directories `outside`. StackError if a file is not as it was
    sealed, or cannot be packed.
    """
    generation = layout.generation(root, name)
    _digests, wrong = manifest.compare(generation)
    if wrong:
        raise StackError(
            "%s cannot be packed, because %d of its files are not as they were sealed: %s"
            % (generation, len(wrong), manifest.in_words(wrong))
        )
    try:
        entries = pack.packed(manifest.read(generation))
    except ValueError as error:
        raise StackError("%s cannot be packed: %s" % (generation, text_of(error)))
    leading_out = pack.links_out(entries, generation, outside)
    if leading_out:
        message = "%s cannot be packed: %s is a link that leads out of it"
        raise StackError(message % (generation, as_native(leading_out[0])))
    sweep(root)
    return _written(generation, path_of(root, name), entries, set(known))


def _written(generation, path, entries, known):
    make_directory(os.path.dirname(path))
    temporary = path + ".new"
    remove(temporary)
    files = [entry for entry in entries if entry.type == pack.FILE]
    sent = [entry for entry in files if entry.sha256 not in known]
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with naming(path), os.fdopen(handle, "wb") as target:
            hashed = _Hashed(target)
            _write(hashed, generation, entries, sent)
            target.flush()
            os.fsync(target.fileno())
        os.rename(temporary, path)
    except Exception:
        remove(temporary)
        raise
    left_out = sorted(set(entry.sha256 for entry in files) & known)
    digest = hashed.digest.hexdigest()
    return {"path": path, "sha256": digest, "size": hashed.size, "files": len(sent), "left_out": left_out}


def _write(target, generation, entries, sent):
    listing = pack.as_bytes(entries)
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="strict") as tar:
        tar.addfile(_member(pack.LISTING, "0644", len(listing)), io.BytesIO(listing))
        for entry in sent:
            with _opened(os.path.join(generation, as_native(entry.path)), entry) as file:
                content = _Content(file)
                tar.addfile(_member(as_native(entry.path), entry.mode, entry.size), content)
                if content.digest.hexdigest() != entry.sha256:
                    raise StackError("%s was changed while it was packed" % as_native(entry.path))


class _Member(tarfile.TarInfo):
    """A member whose header is the same under every Python: before 3.9 device numbers were written for files too."""

    def tobuf(self, *given, **named):
        data = super(_Member, self).tobuf(*given, **named)
        first, size = data[: tarfile.BLOCKSIZE], tarfile.BLOCKSIZE
        if len(data) == size:
            return _without_devices(first)
        # A name of more than 100 bytes has a header and blocks of its own before the member's header.
        return _without_devices(first) + data[size:-size] + _without_devices(data[-size:])


def _without_devices(header):
    header = header[:148] + b" " * 8 + header[156:329] + b"\0" * 16 + header[345:]
    checksum = ("%06o\0 " % sum(bytearray(header))).encode("ascii")
    return header[:148] + checksum + header[156:]


def _member(name, mode, size):
    info = _Member(name)
    info.size, info.mode, info.mtime, info.uname, info.gname = size, int(mode, 8), pack.DATE, "", ""
    return info


def _opened(path, entry):
    """The file of an entry, opened. StackError if it is no longer a file of that size."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except EnvironmentError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise StackError("%s was removed or replaced while it was packed" % as_native(entry.path))
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
        os.close(handle)
        raise StackError("%s was changed while it was packed" % as_native(entry.path))
    return os.fdopen(handle, "rb")


class _Content(object):
    """A file that is hashed while it is read."""

    def __init__(self, file):
        self.file, self.digest = file, hashlib.sha256()

    def read(self, size=-1):
        data = self.file.read(size)
        self.digest.update(data)
        return data


class _Hashed(object):
    """A file that is hashed while it is written."""

    def __init__(self, file):
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.digest.update(data)
        self.size += len(data)
        self.file.write(data)
        return len(data)

    def tell(self):
        return self.size
