# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The files that the components of a generation have installed, so that nothing else is sealed with them.

A component installed what was created or written between the beginning of its build and its stamp. The file `installed`
lists all of that and its stamp, in the form of a manifest with the name of the component. `building.json` says what was
there when the last build began; it exists while a component is built, and after a build that was interrupted.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import hashlib
import json
import os

from . import manifest
from .stamps import read_stamps
from .errors import StackError
from .files import read_json, read_text, remove, remove_remains, write_json, write_whole
from .texts import as_native, as_text
from ..rules import codes, differences, layout, pack
from ..rules.texts import some

_WRITTEN_TO = ("", "bin", "etc", layout.STAMPS)
MAX_STAMPS = 5
"""How many stamps a message names."""


def read(generation):
    """{path: its entry} of what is installed; of a sealed generation without a list, what its manifest says.

    Empty if there is neither, or if the list is damaged. Each entry is one of a manifest, with `component`.
    """
    try:
        lines = [json.loads(line) for line in (read_text(_list(generation)) or "").splitlines()]
        listed = dict((line.pop("path"), line) for line in lines)
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
    if not listed and manifest.has_manifest(generation):
        entries = manifest.read_lines(generation)
        listed = dict((path, dict(entries[path], component="")) for path in entries)
    return listed


def is_unlisted(generation):
    """Whether components were built there and nobody knows what they installed: by an older version of this project
    that was interrupted, or because the list was damaged. Never of a generation that is sealed.
    """
    is_sealed = os.path.lexists(layout.seal(generation))
    return not is_sealed and bool(read_stamps(generation)) and not _has_stamps(read(generation))


def _has_stamps(listed):
    return any(name.startswith(layout.STAMPS + "/") for name in listed)


def is_current(generation):
    """Whether the link `current` of the stack root leads to this generation."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(generation)))
    return os.path.realpath(layout.current(root)) == os.path.realpath(generation)


def write(generation, listed):
    """Write the list of what is installed, {path: its entry}, if it is another one."""
    lines = [json.dumps(dict(listed[path], path=path), sort_keys=True) for path in sorted(listed)]
    text = "".join(line + "\n" for line in lines)
    if read_text(_list(generation)) != text:
        write_whole(_list(generation), text)


def opened(generation, paths):
    """Add these paths, which opening a generation has created. What killed commands left of such files is removed."""
    _clean(generation)
    before = read(generation)
    listed = dict(before)
    for path in paths:
        listed[path] = dict(manifest.describe(os.path.join(generation, path)), component="")
    # A sealed generation whose manifest says the same stays as it is.
    if listed != before:
        write(generation, listed)


def begin(generation, component):
    """Record that a component is built now. Returns how many files of an interrupted build were removed before."""
    removed = 0
    marker = _marker(generation)
    earlier = read_json(marker)
    listed = read(generation)
    listed.pop(_stamp(component), None)
    write(generation, listed)
    if isinstance(earlier, dict) and not is_current(generation):
        left = [
            (name, path)
            for name, path in _walk(generation)
            if name not in listed and name not in earlier and not manifest.may_appear(name)
        ]
        removed = sum(_remove(path) for _name, path in reversed(left))
    remove(layout.seal(generation))
    found = dict((name, identity(path)) for name, path in _walk(generation))
    if isinstance(earlier, dict):
        # What the interrupted build has removed or written, it had a reason to. Others may have done it since then: a
        # stack that lacks something does not pass its trials, and a file counts as written by this component.
        found.update((name, earlier[name]) for name in listed if name in earlier)
    write_json(marker, found)
    return removed


def end(generation, component, stamp):
    """Add what was created or written since `begin` to the list, as installed by the component, with safe modes; and
    the stamp that will be written, a text.

    StackError if the build was not begun, or if there is a pipe, a socket or a device among it.
    """
    found = read_json(_marker(generation))
    if not isinstance(found, dict):
        raise StackError("the build of %s was not begun, so nobody knows what it installed" % component)
    listed, walked = read(generation), _walk(generation)
    there = set(name for name, _path in walked)
    changed = [name for name, path in walked if found.get(name) != identity(path)]
    # A directory that was there already belongs to the list if something is installed in it.
    wanted = set(changed) | set(parent for name in changed for parent in _parents(name) if parent not in listed)
    for name, path in walked:
        if name not in wanted:
            continue
        manifest.make_readable(path)
        entry = manifest.describe(path)
        if entry.get("type") not in (pack.FILE, pack.DIRECTORY, pack.LINK):
            raise StackError("%s was installed as a pipe, a socket or a device" % as_native(name))
        if _plain(listed.get(name, {})) != entry:
            listed[name] = dict(entry, component=component)
    # What was missing when the build began is still missing: only what the component removed leaves the list.
    listed = dict((name, listed[name]) for name in listed if name in there or name not in found)
    content = as_text(stamp).encode("utf-8")
    entry = {"type": pack.FILE, "mode": "0644", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    listed[_stamp(component)] = dict(entry, component=component)
    listed.setdefault(layout.STAMPS, {"type": pack.DIRECTORY, "mode": "0755", "component": ""})
    write(generation, listed)


def finish(generation):
    """The stamp of the component is written: its build is over."""
    remove(_marker(generation))


def refuse_others(generation):
    """StackError if the generation has anything that no component installed, or that was changed since then.

    Temporary files that killed commands left are removed first.
    """
    _clean(generation)
    listed = read(generation)
    entries = dict((path, _plain(listed[path])) for path in listed)
    wrong = manifest.differing(generation, entries, manifest.walk(generation))[1]
    if not wrong:
        return
    raise StackError(
        "%s is not sealed, because %d of its files are not as its components left them: %s. Find out who did that. %s, "
        "then run `provision site` again"
        % (generation, len(wrong), manifest.in_words(wrong), _cure(generation, listed, wrong)),
        code=codes.GENERATION_CHANGED,
    )


def _cure(generation, listed, wrong):
    """What to do about the differences, in words."""
    added = [name for name, kind, _words, _path in wrong if kind == differences.ADDED]
    if not listed or (_has_stamps(added) and not _has_stamps(listed)):
        return "The list of what its components installed is missing, or lacks some of them: delete %s" % generation
    others = [name for name, kind, _w, _p in wrong if kind != differences.ADDED and not listed[name]["component"]]
    if any(name not in manifest.WRITTEN_AT_OPENING for name in others):
        return "It was unpacked, or sealed by an older version, so no component can be built again alone: delete %s" % (
            generation
        )
    cures = []
    if added:
        cures.append("Move or delete what was added")
    names = set(listed[name]["component"] for name, kind, _w, _p in wrong if kind != differences.ADDED) - {""}
    if names:
        stamps = [os.path.join(generation, _stamp(name)) for name in sorted(names)]
        cures.append("To build again what was changed, delete the stamps %s" % as_native(some(stamps, MAX_STAMPS)))
    return ". ".join(cures) or "What was changed is written again when a generation is opened"


def identity(path):
    """What changes if a path is created anew or written to: inode, size and times."""
    found = os.lstat(path)
    return [found.st_ino, found.st_size, found.st_mtime, found.st_ctime]


def _plain(entry):
    """An entry as in a manifest, without the component."""
    return dict((key, value) for key, value in entry.items() if key != "component")


def _parents(name):
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _walk(generation):
    """What components install: all but the stamps."""
    return [(name, path) for name, path in manifest.walk(generation) if name.split("/")[0] != layout.STAMPS]


def _stamp(component):
    return "%s/%s.json" % (layout.STAMPS, component)


def _list(generation):
    return os.path.join(generation, layout.INSTALLED)


def _clean(generation):
    """Remove the temporary files that killed commands left: no component installed them."""
    for folder in _WRITTEN_TO:
        remove_remains(os.path.join(generation, folder))


def _marker(generation):
    return os.path.join(generation, layout.BUILDING)


def _remove(path):
    """Remove a file, a link, or an empty directory; whether it is gone."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            remove(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
