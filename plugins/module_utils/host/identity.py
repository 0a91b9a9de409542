# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which machine this is, and which directory a stack root is, also under another name or on another host.

No single id is enough: cloned machines have one /etc/machine-id, containers of one machine have one boot id, and
numbers of devices and inodes mean nothing on another machine. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import os
import re

from ..rules import holder
from ..rules.texts import without_users
from . import root_id
from .disk import existing
from .origin import line
from .mounts import mount_of
from .texts import as_text

LOCAL = frozenset(
    "bcachefs btrfs devtmpfs erofs exfat ext2 ext3 ext4 f2fs jfs overlay ramfs reiserfs rootfs squashfs tmpfs ubifs "
    "vfat xfs zfs".split()
)
"""File systems that only one kernel at a time can use. Any other may be shared with other hosts."""
EXPORT = re.compile(r"(?://(?P<smb>[^/]+)(?P<share>/.+)|(?P<server>\[[^]]+\]|[^/]+):(?P<path>/.*))\Z")
"""The source of a mount that names a server: //server/share, or server:/path."""
LOOPBACK = re.compile(r"(?:localhost|localhost\..*|ip6-localhost|127\.[0-9.]+|\[?::1\]?)\Z")


def facts(root):
    """{machine, directories, filesystem}: what identifies this machine, and what the directory of a stack root.

    `machine` is the same for all names of one machine, and for no other machine. Two hosts that have one of the
    `directories` in common share the directory `root`, also if it does not exist yet. Both are digests. `filesystem`
    says in words where the directory is.
    """
    path = existing(os.path.realpath(root))
    rest = os.path.relpath(os.path.realpath(root), path)
    status, kind, source = os.stat(path), "", ""
    mount = mount_of(path)
    if mount:
        kind, source = mount["kind"], mount["source"]
    found = []
    if kernel():
        found.append(digest("directory", kernel(), status.st_dev, status.st_ino, rest))
    if mount and kind not in LOCAL:
        exported = exported_path(mount, path)
        if exported:
            family = "nfs" if kind.startswith("nfs") else kind
            whole = os.path.normpath(os.path.join(exported[1], rest))
            found.append(digest("export", family, exported[0], whole, status.st_ino))
        found += _written(os.path.realpath(root), mount["point"])
    words = without_users(as_text("%s on %s" % (kind, source))) if mount else ""
    return {"machine": machine(), "directories": found, "filesystem": words[:1000]}


def _written(path, point):
    """The digests of a path by the ids of the stack roots that it is, or is in, down to where the disk is mounted."""
    found, root = [], path
    while True:
        written = root_id.read(root)
        if written:
            found.append(digest("written", written, os.path.relpath(path, root)))
        if root in (point, "/"):
            return found
        root = os.path.dirname(root)


def is_local(root):
    """Whether only this machine can use the file system of a directory."""
    mount = mount_of(existing(os.path.realpath(root)))
    return bool(mount) and mount["kind"] in LOCAL


def machine():
    """The digest of what no two machines have in common; empty if that is not known.

    It consists of what identifies the kernel, and of the root directory, which tells containers apart.
    """
    top = os.stat("/")
    return digest("machine", kernel(), top.st_dev, top.st_ino) if kernel() else ""


def kernel():
    """The boot id, and the hardware addresses of the network cards: copies of a running machine share the former."""
    boot = line(holder.BOOT)
    return "%s %s" % (boot, " ".join(cards())) if boot else ""


def cards():
    """The hardware addresses of the network cards, sorted. Interfaces without a device come and go."""
    try:
        names = os.listdir(holder.NETWORK)
    except OSError:
        return []
    devices = [name for name in names if os.path.exists(os.path.join(holder.NETWORK, name, "device"))]
    return sorted(filter(None, (line(os.path.join(holder.NETWORK, name, "address")) for name in devices)))


def exported_path(mount, path):
    """(server, path on it) of a path on a network file system; None if the source names no server, or this machine.

    So two hosts that mounted different directories of one server find the same path.
    """
    found = EXPORT.match(mount["source"])
    server = (found.group("smb") or found.group("server") or "").lower().rstrip(".") if found else ""
    # A tunnel on each host ends at a server that its name does not tell.
    if not found or LOOPBACK.match(server):
        return None
    exported = found.group("share") or found.group("path")
    inside = os.path.relpath(as_text(path), mount["point"])
    return server, os.path.normpath("/".join([exported, mount["root"].lstrip("/"), inside]))


def digest(*parts):
    """32 hexadecimal digits: ids of a machine are not published."""
    text = "neuraltalk-provision " + " ".join("%s" % part for part in parts)
    return hashlib.sha256(as_text(text).encode("utf-8", "replace")).hexdigest()[:32]
