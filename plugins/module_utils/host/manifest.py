# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The manifest of a generation: what lay in it when it was sealed, so that what differs later can be named.

`manifest` has one JSON object a line: path, type, and for files mode, size and sha256, for directories the mode, for
links the target. Its own sha256 stands in generation.json, so that it cannot be exchanged unseen.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import json
import os
import stat

from .errors import StackError
from .files import file_sha256, read_json, read_text, write_whole
from .texts import as_native
from ..rules import layout

# Not looked at. Every verification writes logs, and the seal names the manifest; Python compiles when it likes.
OURS = (layout.LOGS, layout.MANIFEST, layout.SEAL)
COMPILED = ("__pycache__", "*.pyc")
# What programs write beside their sources when somebody runs them by hand in the generation, instead of by
# `provision train`. They may come; what of these was there at sealing has to stay as it was. Loadcaffe writes
# <prototxt>.lua anew before it reads it.
MAY_COME = (
    "neuraltalk2/model/*.prototxt.lua",
    "neuraltalk2/vis/*",
    "neuraltalk2/model_id*",
    "neuraltalk2/coco-caption/val*.json*",
    "coco-caption/val*.json*",
)
# Written by each opening of a generation, before its seal is looked at: a newer release may write them otherwise.
OPENED = ("environment", "bin/with-stack", "etc/luarocks.lua")
TOLD = 20
"""How many files are named; of the others there is the number."""


def seal_of(generation):
    """The seal of a generation, {} where there is none."""
    return read_json(layout.seal(generation)) or {}


def has_manifest(generation):
    """Whether a generation is sealed with a manifest that is still the one that was written then."""
    path = os.path.join(generation, layout.MANIFEST)
    return os.path.isfile(path) and seal_of(generation).get("manifest") == file_sha256(path)


def is_stale(generation):
    """Whether what opening a generation writes is not what its manifest says."""
    noted = read(generation)
    return any(_describe(os.path.join(generation, name)) != noted.get(name) for name in OPENED if name in noted)


def write(generation):
    """Give all files modes for all users, write the manifest; its sha256."""
    lines = []
    for name, path in walk(generation):
        _open_to_readers(path)
        lines.append(json.dumps(dict(_describe(path), path=name), sort_keys=True))
    write_whole(os.path.join(generation, layout.MANIFEST), "\n".join(lines) + "\n")
    return file_sha256(os.path.join(generation, layout.MANIFEST))


def read(generation):
    """{path: what it was at sealing}. StackError where there is no manifest, or another than the sealed one."""
    if not seal_of(generation):
        raise StackError("%s is not sealed, so it is not whole: run `provision site`" % generation)
    if "manifest" not in seal_of(generation):
        raise StackError(
            "%s was sealed before manifests were kept, so its files cannot be compared with what was installed: run "
            "`provision site`, which seals it again" % generation
        )
    if not has_manifest(generation):
        raise StackError(
            "the manifest of %s is gone or is not the one that was sealed, so its files cannot be compared. Find out "
            "who changed it, then run `provision site`, which seals the generation again" % generation
        )
    entries = [json.loads(line) for line in read_text(os.path.join(generation, layout.MANIFEST)).splitlines()]
    return dict((entry.pop("path"), entry) for entry in entries)


def compare(generation):
    """({path: sha256} of all files there, [(path, what is wrong)]) against the manifest, sorted by path."""
    noted, digests, wrong = read(generation), {}, []
    for name, path in walk(generation):
        found = _describe(path)
        if "sha256" in found:
            digests[name] = found["sha256"]
        if name not in noted:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in MAY_COME):
                wrong.append((name, "was not there"))
            continue
        said = _difference(noted.pop(name), found, path)
        if said:
            wrong.append((name, said))
    wrong += [(name, "is missing") for name in noted]
    return digests, sorted(wrong)


def in_words(wrong):
    """The first files that differ, and how many there are."""
    more = ["and %d more" % (len(wrong) - TOLD)] if len(wrong) > TOLD else []
    text = ", ".join(["%s %s" % pair for pair in wrong[:TOLD]] + more)
    return as_native(text)


def walk(generation):
    """(path within the generation as text, path) of everything that the manifest is about, parents first."""
    for folder, folders, files in os.walk(generation):
        folders[:] = sorted(name for name in folders if not _changes(folder, name, generation))
        for name in sorted(folders + [name for name in files if not _changes(folder, name, generation)]):
            path = os.path.join(folder, name)
            yield _as_text(os.path.relpath(path, generation)), path


def _changes(folder, name, generation):
    at_top = os.path.normpath(folder) == os.path.normpath(generation)
    return (at_top and name in OURS) or any(fnmatch.fnmatchcase(name, pattern) for pattern in COMPILED)


def _as_text(name):
    """A file's name as JSON can hold it, under Python 2.7 and 3 alike."""
    raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _open_to_readers(path):
    """Others may read it, nobody but its owner may change it, whatever wrote it and under which umask."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return
    wanted = 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & 0o100 else 0o644
    if stat.S_IMODE(found.st_mode) != wanted:
        os.chmod(path, wanted)


def _describe(path):
    """What a manifest notes of a path; {} where there is nothing."""
    try:
        found = os.lstat(path)
    except OSError:
        return {}
    mode = "%04o" % stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return {"type": "link", "target": _as_text(os.readlink(path))}
    if stat.S_ISDIR(found.st_mode):
        return {"type": "directory", "mode": mode}
    if stat.S_ISREG(found.st_mode):
        return {"type": "file", "mode": mode, "size": found.st_size, "sha256": file_sha256(path)}
    return {"type": "special", "mode": mode}


def _difference(noted, found, path):
    """How what is there differs from what was noted, in words; empty where it does not."""
    if noted != found:
        for key in ("type", "target", "size", "sha256", "mode"):
            if noted.get(key) != found.get(key):
                if key in ("size", "sha256"):
                    return "was altered"
                return "has %s %s, was %s" % (key, found.get(key), noted.get(key))
    owner = os.lstat(path).st_uid
    return "" if owner in (0, os.geteuid()) else "belongs to user %d" % owner
