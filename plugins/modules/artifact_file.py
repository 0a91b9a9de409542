#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: artifact_file
short_description: Verify the sha256 of an artifact on the host before it is used
description:
  - Hashes the file on the host, even if an earlier run transferred it. A file that differs from the entry in
    the mirror's lock is removed.
  - Only root and the user who builds must be able to replace the file between this check and its use. So a directory
    that other users own or can write to is refused.
  - With V(known), a missing or wrong file is not an error. The result has RV(whole=false), and the role then transfers
    the file, for which the directory is made if it does not exist. With V(verified), it is an error.
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
  state:
    description: With V(known), the file may be missing or wrong. With V(verified), it must be there and correct.
    type: str
    choices: [known, verified]
    default: verified
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
- name: Verify torch.tgz on the host
  neuraltalk.provision.artifact_file:
    artifact: torch
    file: torch.tgz
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
  description: The sha256 of the file that was there; empty if there was none.
  returned: always
  type: str
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.places import unsafe
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import file_sha256, is_own_file, make_directory, remove
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
    if not os.path.lexists(path) or not is_own_file(os.lstat(path)):
        return ""
    return file_sha256(path)


def remove_any(path):
    """Remove a file, a link or a directory with its content."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        remove(path)


def fail(artifact, file, path, sha256, exists, seen, state):
    """StackError that a file is missing or differs from the lock."""
    if not exists:
        what = "is missing"
    elif not seen:
        what = "is not an ordinary file that only its owner can write; it was removed"
    else:
        what = "has sha256 %s; it was removed, nothing was unpacked" % seen
    raise StackError(
        "artifact %s: %s of the mirror is %s on this host, which %s. The lock lists sha256 %s. Either the mirror's "
        "file changed after the lock was read, or the transfer failed: `provision mirror verify` checks that. Add "
        "the file again with `provision mirror add`, then run the same command again"
        % (artifact, file, path, what, sha256),
        seen=seen,
    )


def work(module):
    """The result of the module: whether the file exists and has the sha256 of the lock."""
    options = module.params
    path = options["path"]
    directory = os.path.dirname(path)
    if not os.path.isdir(directory) and options["state"] == "known":
        if not module.check_mode:
            make_directory(directory)
            check_directory(options["artifact"], directory)
        return {"changed": True, "whole": False, "seen": ""}
    check_directory(options["artifact"], directory)
    exists, seen = os.path.lexists(path), digest_of(path)
    whole = seen == options["sha256"]
    if exists and not whole and not module.check_mode:
        remove_any(path)
    if not whole and options["state"] == "verified":
        fail(exists=exists, seen=seen, **options)
    return {"changed": exists and not whole, "whole": whole, "seen": seen}


def main():
    module = AnsibleModule(
        argument_spec={
            "artifact": {"type": "str", "required": True},
            "file": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["known", "verified"], "default": "verified"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
