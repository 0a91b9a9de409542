# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A packed generation: a tar whose first member lists everything in it, and whose other members are its files.

The list has the form of a manifest (host/manifest.py): one JSON object per line. Directories and links are only in the
list, so that nothing in the tar itself can lead out of the directory that it is unpacked into. Files of the list that
the tar lacks are files of the mirror. Stamps, the seal and logs are not packed: they contain times.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import json
import posixpath
import re

from . import layout
from .archive_formats import has_control, is_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence  # noqa: F401

LISTING = "manifest"
"""The first member: the list of everything in the generation."""
DATE = 1451606400
"""The time of all files, 2016-01-01: nothing in a packed generation depends on when it was built."""
MOST = 200000
"""The most entries of a list."""
LARGEST_LISTING = 64 << 20
"""The most bytes of a list."""
LARGEST = 16 << 30
"""The most bytes of a packed generation."""
LONGEST = 1000
"""The most characters of a path or of the target of a link."""
LONGEST_LINE = 32768
"""The most bytes of a line of the list."""
MOST_FOLLOWED = 40
"""How many links the target of a link may lead through, as for the Linux kernel."""
MOST_NAMED = 1000
"""The most files of which a host is asked at once which component installed them."""
CHUNK = 8 << 20
"""How many bytes of a pack are sent to the controller at once; they are compressed on the way."""
ID = re.compile(r"[0-9a-f]{16}\Z")
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
DIRECTORY, FILE, LINK = "directory", "file", "link"
NOT_PACKED = (layout.STAMPS, layout.LOGS, layout.MANIFEST, layout.SEAL, layout.INSTALLED, layout.BUILDING)

Listed = collections.namedtuple("Listed", "path type mode size sha256 target")
"""One entry: `mode` in octal, `size` in bytes and `sha256` are those of a file, `target` is that of a link."""


def packed(listed):
    # type: (Mapping[str, Mapping[str, Any]]) -> List[Listed]
    """The entries of a pack, sorted by path, from those of a manifest, {path: entry}. ValueError if one is unsafe."""
    lines = [_entry(path, listed[path]) for path in sorted(listed) if path.split("/")[0] not in NOT_PACKED]
    _check(lines)
    return lines


def as_bytes(entries):
    # type: (Iterable[Listed]) -> bytes
    """The list as it is in the tar."""
    lines = []
    for entry in entries:
        fields = dict((key, value) for key, value in entry._asdict().items() if value not in ("", None))
        lines.append(json.dumps(fields, sort_keys=True))
    return ("\n".join(lines) + "\n").encode("ascii")


def read(data):
    # type: (bytes) -> List[Listed]
    """The entries of a list. ValueError if they are not such a list, or if a path or a link is unsafe."""
    lines = data.decode("ascii").splitlines()
    if not lines or len(lines) > MOST:
        raise ValueError("its list has %d entries; 1 to %d are accepted" % (len(lines), MOST))
    entries = []
    for number, line in enumerate(lines, 1):
        fields = _fields(line, number)
        entries.append(_entry(fields.get("path"), fields))
    _check(entries)
    return entries


def _fields(line, number):
    # type: (str, int) -> Dict[str, Any]
    try:
        fields = json.loads(line) if len(line) <= LONGEST_LINE else None
    except (ValueError, RuntimeError):  # RuntimeError: it is nested too deeply
        fields = None
    if not isinstance(fields, dict):
        raise ValueError("line %d of its list is not an object of JSON" % number)
    return fields


def links_out(entries, root, outside):
    # type: (Sequence[Listed], str, Sequence[str]) -> List[str]
    """The paths of links that lead neither into the generation, whose final path is `root`, nor below `outside`.

    Links of the list on the way are followed. Nobody knows which links are outside, so no way leads up from there.
    """
    allowed = [directory.rstrip("/") for directory in outside if directory.startswith("/")] + [root]
    links = dict((posixpath.join(root, entry.path), entry.target) for entry in entries if entry.type == LINK)
    return [path[len(root) + 1 :] for path in sorted(links) if not _is_below(_end_of(path, links, root), allowed)]


def _end_of(path, links, root):
    # type: (str, Mapping[str, str], str) -> Optional[str]
    """Where a link leads at last; None if the way goes up outside `root`, or through too many links."""
    place, parts, followed = posixpath.dirname(path), [posixpath.basename(path)], 0
    while parts:
        part = parts.pop()
        if part == posixpath.pardir:
            place = posixpath.dirname(place)
            if not _is_below(place, [root]):
                return None
        elif part not in ("", posixpath.curdir):
            place = posixpath.join(place, part)
        if place in links:
            target, followed = links[place], followed + 1
            if followed > MOST_FOLLOWED:
                return None
            place = "/" if target.startswith("/") else posixpath.dirname(place)
            parts += reversed(target.split("/"))
    return place


def _is_below(path, directories):
    # type: (Optional[str], Sequence[str]) -> bool
    return path is not None and any((path + "/").startswith(directory + "/") for directory in directories)


def _entry(path, fields):
    # type: (Any, Mapping[str, Any]) -> Listed
    _check_text(path, "a path")
    kind = fields.get("type")
    mode, size, sha256, target = (fields.get(name) for name in ("mode", "size", "sha256", "target"))
    if kind == LINK:
        _check_text(target, "the target of the link %s" % path)
        return Listed(path, LINK, "", None, "", target)
    if kind == DIRECTORY:
        return Listed(path, DIRECTORY, "0755", None, "", "")
    if kind != FILE:
        raise ValueError("%s is not a file, a directory or a link" % path)
    whole = isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= LARGEST
    if mode not in ("0644", "0755") or not whole or not SHA256.match(str(sha256)):
        raise ValueError("the entry of %s has a mode, a size or a SHA-256 that cannot be" % path)
    return Listed(path, FILE, mode, size, sha256, "")


def _check_text(text, what):
    # type: (Any, str) -> None
    plain = hasattr(text, "split") and 0 < len(text) <= LONGEST
    if not plain or has_control(text) or not is_utf8(text):
        raise ValueError("%s is empty, too long, or contains a character that no name may contain" % what)


def _check(entries):
    # type: (Sequence[Listed]) -> None
    """ValueError if a path leads out, is there twice, or has no directory before it."""
    kinds = {"": DIRECTORY}  # type: Dict[str, str]
    total = 0
    for entry in entries:
        parts = entry.path.split("/")
        if any(part in ("", posixpath.curdir, posixpath.pardir) for part in parts) or parts[0] in NOT_PACKED:
            raise ValueError("%s is not a path in a packed generation" % entry.path)
        if entry.path in kinds:
            raise ValueError("%s is twice in the list" % entry.path)
        if kinds.get(posixpath.dirname(entry.path)) != DIRECTORY:
            raise ValueError("%s is not below a directory of the list" % entry.path)
        kinds[entry.path] = entry.type
        total += entry.size or 0
    if total > LARGEST:
        raise ValueError("it is larger than %d bytes when it is unpacked" % LARGEST)


def differences(one, other):
    # type: (Iterable[Listed], Iterable[Listed]) -> List[Any]
    """[(path, its entry or None, its entry in the other or None)] of what differs in two packs, by path."""
    left = dict((entry.path, entry) for entry in one)
    right = dict((entry.path, entry) for entry in other)
    paths = sorted(set(left) | set(right))
    return [(path, left.get(path), right.get(path)) for path in paths if left.get(path) != right.get(path)]
