# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The manifest of a generation: the list of its files when it was sealed, to find later changes.

The file `manifest` has one JSON object per line: path, type, and for files mode, size and sha256, for directories the
mode, for links the target. Its own sha256 is in generation.json, so that a replaced manifest is noticed.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import json
import os
import stat
import time

from .errors import StackError
from .files import file_sha256, read_json, read_text, write_json, write_whole
from .texts import as_native, as_text, for_json
from ..rules import differences, layout
from ..rules.texts import some

# Not in the manifest. Every verification writes logs, the seal contains the sha256 of the manifest, and Python may
# compile files at any time.
EXCLUDED = (layout.LOGS, layout.MANIFEST, layout.SEAL, layout.INSTALLED, layout.BUILDING)
COMPILED = ("__pycache__", "*.pyc")
# Files that programs write beside their sources if somebody runs them by hand in the generation instead of by
# `provision train`. New ones are allowed; those that existed at sealing must not change. Loadcaffe writes
# <prototxt>.lua again each time before it reads it.
MAY_APPEAR = (
    "neuraltalk2/model/*.prototxt.lua",
    "neuraltalk2/vis/*",
    "neuraltalk2/model_id*",
    "neuraltalk2/coco-caption/val*.json*",
    "coco-caption/val*.json*",
)
# Files that the role `generation` writes each time it opens a generation, before it reads the seal. A newer release of
# this project may write other content.
WRITTEN_AT_OPENING = ("environment", "bin/with-stack", "etc/luarocks.lua")
MAX_NAMED = 20
"""How many files a message names; of the others it gives the number."""


def seal_of(generation):
    """The content of the seal of a generation; {} if it is not sealed."""
    return read_json(layout.seal(generation)) or {}


def built_for(generation):
    """The TORCH_CUDA_ARCH_LIST that a generation was built for; empty without a GPU part, or if it is not recorded."""
    return seal_of(generation).get("architectures") or ""


def has_manifest(generation):
    """Whether a generation is sealed and its manifest is the one that was written at sealing."""
    path = os.path.join(generation, layout.MANIFEST)
    return os.path.isfile(path) and seal_of(generation).get("manifest") == file_sha256(path)


def is_stale(generation):
    """Whether the files that opening a generation writes differ from its manifest."""
    recorded = read(generation)
    return any(
        describe(os.path.join(generation, name)) != recorded.get(name)
        for name in WRITTEN_AT_OPENING
        if name in recorded
    )


def write(generation, listed=()):
    """Make all files readable by all users, and write the manifest. Returns the sha256 of the manifest.

    Of the files that programs write which somebody runs by hand, only those in `listed` are part of it.
    """
    lines = []
    for name, path in walk(generation):
        if may_appear(name) and name not in listed:
            continue
        make_readable(path)
        lines.append(json.dumps(dict(describe(path), path=name), sort_keys=True))
    write_whole(os.path.join(generation, layout.MANIFEST), "\n".join(lines) + "\n")
    return file_sha256(os.path.join(generation, layout.MANIFEST))


def write_seal(generation, name, components, digest, architectures="", unpacked=None):
    """Write the seal, with which the generation is complete. `digest` is the sha256 of its manifest.

    `architectures` is a TORCH_CUDA_ARCH_LIST. `unpacked` says where it was built, if not here; a former seal may too.
    """
    seal = {"id": name, "components": components, "sealed": int(time.time()), "manifest": digest}
    more = {"architectures": architectures, "unpacked": unpacked or seal_of(generation).get("unpacked")}
    seal.update((key, value) for key, value in more.items() if value)
    write_json(layout.seal(generation), seal)


def read(generation):
    """{path: its entry in the manifest}. StackError if there is no manifest, or if it is not the sealed one."""
    if not seal_of(generation):
        raise StackError("%s is not sealed, so it is not complete: run `provision site`" % generation)
    if "manifest" not in seal_of(generation):
        raise StackError(
            "%s was sealed before manifests existed, so its files cannot be compared with what was installed: delete "
            "it, then run `provision site`, which builds it again" % generation
        )
    if not has_manifest(generation):
        raise StackError(
            "the manifest of %s is missing, or is not the one that was sealed, so its files cannot be compared. "
            "Find out who changed it, then run `provision site`, which seals it again if all is as it was built"
            % generation
        )
    return read_lines(generation)


def read_lines(generation):
    """{path: its entry in the manifest}, whether the generation is sealed or not."""
    entries = [json.loads(line) for line in read_text(os.path.join(generation, layout.MANIFEST)).splitlines()]
    return dict((entry.pop("path"), entry) for entry in entries)


def compare(generation):
    """Compare all files with the manifest. Returns ({path: sha256} of the files, the differences, by path).

    A difference is (path, kind, words, path of the system); rules/differences.py has the kinds.
    """
    return differing(generation, read(generation), walk(generation))


def differing(generation, listed, walked):
    """Like `compare`: what of `walked`, pairs as those of `walk`, differs from `listed`, {path: its entry}."""
    recorded, digests, wrong = dict(listed), {}, []
    for name, path in walked:
        found = describe(path)
        if "sha256" in found:
            digests[name] = found["sha256"]
        if name not in recorded:
            if not may_appear(name):
                wrong.append((name, differences.ADDED, "was added", path))
            continue
        kind, words = _difference(recorded.pop(name), found, path)
        if kind:
            wrong.append((name, kind, words, path))
    wrong += [(name, differences.MISSING, "is missing", os.path.join(generation, as_native(name))) for name in recorded]
    return digests, sorted(wrong, key=lambda difference: difference[0])


def may_appear(name):
    """Whether a file of that path may be new: programs that somebody runs by hand write it."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in MAY_APPEAR)


def in_words(wrong):
    """The differences as text: the first ones, and the number of the others."""
    return as_native(some(["%s %s" % (name, words) for name, _kind, words, _path in wrong], MAX_NAMED))


def walk(generation):
    """Yield (path relative to the generation as text, path) of everything in the manifest, parents first."""
    for folder, folders, files in os.walk(generation):
        folders[:] = sorted(name for name in folders if not _is_excluded(folder, name, generation))
        for name in sorted(folders + [name for name in files if not _is_excluded(folder, name, generation)]):
            path = os.path.join(folder, name)
            yield as_name(path, generation), path


def as_name(path, generation):
    """A path relative to the generation, as text for JSON."""
    return _as_text(os.path.relpath(path, generation))


def _is_excluded(folder, name, generation):
    at_top = os.path.normpath(folder) == os.path.normpath(generation)
    return (at_top and name in EXCLUDED) or any(fnmatch.fnmatchcase(name, pattern) for pattern in COMPILED)


def _as_text(name):
    """A file name as text for JSON, the same with Python 2.7 and 3."""
    return as_text(for_json(name))


def make_readable(path):
    """Set the mode of a file or directory so that other users can read it and only its owner can change it."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return
    wanted = 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & 0o100 else 0o644
    if stat.S_IMODE(found.st_mode) != wanted:
        os.chmod(path, wanted)


def describe(path):
    """The entry of a manifest for a path, without the path; {} if it does not exist."""
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


def _difference(recorded, found, path):
    """(kind, words) of the difference between a path and its entry in the manifest; the kind is empty for none."""
    if recorded != found:
        for key in ("type", "target", "size", "sha256", "mode"):
            if recorded.get(key) != found.get(key):
                if key in ("size", "sha256"):
                    return differences.CONTENT, "was changed"
                # The names of the kinds are those of the keys.
                return key, "has %s %s, was %s" % (key, found.get(key), recorded.get(key))
    owner = os.lstat(path).st_uid
    kind = "" if owner in (0, os.geteuid()) else differences.OWNER
    return kind, "belongs to user %d" % owner
