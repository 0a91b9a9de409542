#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: artifact_file
short_description: Put a verified file of the mirror on the host
description:
  - Hashes the file on the host, even if an earlier run transferred it, because its name proves nothing. A file that
    differs from the entry in the mirror's lock is removed.
  - If the file is missing or wrong, O(src) is sent. The copy gets its name only if it has the sha256 of the lock,
    because the file on the controller can have changed since it was checked.
  - Other versions of the file, whose names differ only in the digits of the sha256, are removed, with what is left of
    their transfers.
  - Only root and the user who builds must be able to replace the file between this check and its use. So a directory
    that other users own or can write to is refused. It is made if it does not exist.
options:
  artifact:
    description: The artifact's name in the mirror's lock.
    type: str
    required: true
  file:
    description: The artifact's file name in the mirror.
    type: str
    required: true
  path:
    description: The path of the file on the host.
    type: path
    required: true
  sha256:
    description: The sha256 in the mirror's lock.
    type: str
    required: true
  src:
    description:
      - The path of the file on the controller. Empty if the controller does not send it; the result then only says
        whether the host has the file.
    type: str
    default: ""
  sent:
    description: Where the file is on the host after it was sent. The action plugin sets it.
    type: path
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Put torch.tgz on the host
  neuraltalk.provision.artifact_file:
    artifact: torch
    file: torch.tgz
    src: /srv/mirror/torch.tgz
    path: /opt/neuraltalk/artifacts/9f86d081884c7d65-torch.tgz
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
whole:
  description: Whether the file is there and has the sha256 of the lock.
  returned: success
  type: bool
seen:
  description: The sha256 of the file that was there, or of what was sent; empty if there was none.
  returned: always
  type: str
"""

import io
import os
import re

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.places import unsafe
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import (
    content_sha256,
    file_sha256,
    is_own_file,
    make_directory,
    naming,
    remove,
    remove_any,
)
from ..module_utils.host.outcome import run_module


def check_directory(artifact, directory):
    """StackError if another user could replace the files in this directory."""
    for reason in unsafe(directory)[:1]:
        raise StackError(
            "artifact %s: a file in %s could be replaced between its verification and its use, because %s. "
            "Then run the same command again" % (artifact, directory, reason)
        )


def digest_of(path):
    """The sha256 of a regular file that no other user owns or can write; empty for anything else."""
    if not os.path.lexists(path) or not is_own_file(path, os.lstat(path)):
        return ""
    return file_sha256(path)


def other_versions(path):
    """Other versions of the file at `path` (rules/artifacts.py), and what is left of their transfers, as paths."""
    directory, name = os.path.split(path)
    own = re.match(r"([0-9a-f]{16})-(.+)\Z", name)
    if not own:
        return []
    file = "([0-9a-f]{16})-" + re.escape(own.group(2))
    version = re.compile(r"(?:%s|\.%s(?:\.sent|(?:\.[0-9a-f]{16})?\.part))\Z" % (file, file))
    found = [version.match(other) for other in sorted(os.listdir(directory))]
    return [os.path.join(directory, one.group()) for one in found if one and own.group(1) not in one.groups()]


def place(options):
    """Copy the file that was sent to its path. StackError if its sha256 is not that of the lock."""
    path = options["path"]
    temporary = os.path.join(os.path.dirname(path), ".%s.sent" % os.path.basename(path))
    remove_any(temporary)
    try:
        with io.open(options["sent"], "rb") as source:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with naming(path), os.fdopen(handle, "wb") as copy:
                seen = copied(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
                os.fchmod(copy.fileno(), 0o644)
    except Exception:
        remove(temporary)  # it would keep a full disk full
        raise
    if seen != options["sha256"]:
        remove(temporary)
        raise StackError(
            "artifact %s: %s of the mirror was sent to this host for %s, and what arrived has sha256 %s; it was "
            "removed, nothing was unpacked. The lock lists sha256 %s. Either the mirror's file changed after the lock "
            "was read, or the transfer failed: `provision mirror verify` checks that. Add the file again with "
            "`provision mirror add`, then run the same command again"
            % (options["artifact"], options["file"], path, seen, options["sha256"]),
            seen=seen,
        )
    os.rename(temporary, path)
    # What a download, or a transfer between hosts, left of it: up to the size of the file.
    for name in ("%s.part" % os.path.basename(path), "%s.%s.part" % (os.path.basename(path), seen[:16])):
        remove(os.path.join(os.path.dirname(path), "." + name))
    return {"changed": True, "whole": True, "seen": seen}


def copied(source, copy):
    """Copy one open file to another; the sha256 of what was copied."""

    def read(size):
        block = source.read(size)
        copy.write(block)
        return block

    return content_sha256(read)


def work(module):
    """The result of the module: whether the file is there and has the sha256 of the lock."""
    options = module.params
    path = options["path"]
    directory = os.path.dirname(path)
    is_new = not os.path.isdir(directory)
    if is_new and module.check_mode:
        return {"changed": True, "whole": False, "seen": ""}
    make_directory(directory)
    check_directory(options["artifact"], directory)
    if options["sent"]:
        return place(options)
    exists, seen = os.path.lexists(path), digest_of(path)
    whole = seen == options["sha256"]
    wrong = ([path] if exists and not whole else []) + other_versions(path)
    for one in [] if module.check_mode else wrong:
        remove_any(one)
    return {"changed": is_new or bool(wrong), "whole": whole, "seen": seen}


def main():
    module = AnsibleModule(
        argument_spec={
            "artifact": {"type": "str", "required": True},
            "file": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "src": {"type": "str", "default": ""},
            "sent": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
