#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: cudnn_swap
short_description: Replace the cuDNN of a CUDA directory in one transaction, and restore the old one
description:
  - Installs the cuDNN of an archive in place of an older one. The old files move to C(include/cudnn_v4) and
    C(lib64/cudnn_v4), with the version number that was found. V(restored) brings them back byte for byte.
  - A journal in C(.neuraltalk-cudnn) of the CUDA directory records the progress. If a swap is interrupted, the next
    call undoes it.
options:
  cuda:
    description: The CUDA directory itself, not a link to it.
    type: path
    required: true
  archive:
    description: The cuDNN archive on the host; needed for V(swapped).
    type: path
    default: ""
  version:
    description:
      - The version that the header and the library of the archive must report, such as V(5.0.5); needed for
        V(swapped).
    type: str
    default: ""
  in_use:
    description: Whether to swap although running processes have the library mapped. These processes keep the old one.
    type: bool
    default: false
  foreign:
    description:
      - Whether to replace also a cuDNN that is newer than the archive's, or whose header and library have different
        versions.
    type: bool
    default: false
  stack_root:
    description: The stack root; needed with O(armed).
    type: path
    default: ""
  armed:
    description:
      - For V(swapped), the id of the generation for which a timer must be armed
        (M(neuraltalk.provision.activation_timer)). If the host has returned in the meantime, the module fails.
    type: str
    default: ""
  ldconfig:
    description: Whether ldconfig must list the library afterwards.
    type: bool
    default: true
  state:
    description: The state to bring about. V(status) changes nothing.
    type: str
    choices: [status, swapped, restored]
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Replace cuDNN v4 by v5
  neuraltalk.provision.cudnn_swap:
    cuda: /usr/local/cuda-7.5
    archive: /opt/neuraltalk/artifacts/0a1b2c3d4e5f6071-cudnn-7.5-linux-x64-v5.0-ga.tgz
    version: 5.0.5
    state: swapped
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
cudnn:
  description: The cuDNN in the CUDA directory afterwards.
  returned: success
  type: dict
  contains: &cudnn
    root:
      description: The CUDA directory.
      type: str
    state:
      description:
        - V(absent), V(whole), V(mixed) (header and library have different versions) or V(unfinished) (a swap was
          interrupted).
      type: str
    header:
      description: The version in the header; empty if there is none.
      type: str
    library:
      description: The version that the library itself reports; empty if there is none.
      type: str
    problem:
      description: Why the library's version cannot be read; empty if it can.
      type: str
    files:
      description: The files of cuDNN, relative to the CUDA directory.
      type: list
      elements: str
    phase:
      description: The phase that the journal of the last swap records; empty without a journal.
      type: str
    backup:
      description: The files that V(restored) would bring back.
      type: list
      elements: str
before:
  description: The cuDNN in the CUDA directory before.
  returned: success
  type: dict
  contains: *cudnn
users:
  description: The processes that have the library mapped; empty for other states than V(status).
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: The process id.
      type: int
    command:
      description: The first 200 characters of its command line.
      type: str
    file:
      description: The library that it has mapped.
      type: str
did:
  description: The steps that were done, in words.
  returned: success
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.activation.record import check_armed
from ..module_utils.cudnn.inspection import Tree, inspect, users
from ..module_utils.cudnn.ldconfig import Loader
from ..module_utils.cudnn.swap import check_tree, refuse, refuse_users, restore, swap
from ..module_utils.host.errors import StackError
from ..module_utils.host.lease import Lock
from ..module_utils.host.outcome import run_module
from ..module_utils.rules import codes
from ..module_utils.rules.cudnn import UNFINISHED, is_in_place


def listing(cudnn):
    """The cuDNN of a CUDA directory as lines for a diff."""
    versions = ["cudnn.h %s" % (cudnn["header"] or "none"), "libcudnn %s" % (cudnn["library"] or "none")]
    return "".join(line + "\n" for line in versions + cudnn["files"])


def predict(tree, options, before):
    """(whether the module would change something, the result as lines for a diff). StackError if it would fail."""
    check_tree(tree)
    if options["state"] == "restored":
        return bool(tree.journal()), "cudnn as it was before the swap\n"
    if is_in_place(before["state"], before["library"], options["version"]):
        return False, listing(before)
    if before["state"] != UNFINISHED:
        refuse(tree, before, options["version"], options["foreign"])
    if not options["in_use"]:
        refuse_users(tree)
    return True, "cudnn.h %(version)s\nlibcudnn %(version)s\n" % options


def armed(root, target):
    """The function that raises a StackError if no activation of that generation waits for its confirmation."""

    def check():
        with Lock(root):
            check_armed(root, target)

    return check


def work(module):
    """The result of the module: the cuDNN of the CUDA directory before and after, and what was done."""
    options = module.params
    if options["state"] == "swapped" and not (options["archive"] and options["version"]):
        raise StackError("the state swapped needs the options archive and version")
    tree = Tree(options["cuda"].rstrip("/"))
    loader = Loader(tree.root) if options["ldconfig"] else None
    before = inspect(tree)
    result = {"changed": False, "cudnn": before, "before": before, "users": [], "did": []}
    if options["state"] == "status":
        return dict(result, users=users(tree))
    if module.check_mode:
        changed, after = predict(tree, options, before)
        return dict(result, changed=changed, diff={"before": listing(before), "after": after})
    try:
        if options["state"] == "swapped":
            machine = os.uname()[4]
            if options["armed"] and not options["stack_root"]:
                raise StackError("the option armed needs the option stack_root, where the host records the activation")
            check = armed(options["stack_root"], options["armed"]) if options["armed"] else None
            did = swap(
                tree, options["archive"], options["version"], machine, options["in_use"], options["foreign"], loader,
                check,
            )  # fmt: skip
        else:
            did = restore(tree, loader)
    except (IOError, OSError) as error:
        where = error.filename or tree.root
        message = "%s: %s. Run the same command again: it continues from there" % (where, error.strerror)
        raise StackError(message, code=codes.of_errno(error.errno))
    after = inspect(tree)
    return dict(
        result, changed=bool(did), cudnn=after, did=did, diff={"before": listing(before), "after": listing(after)}
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "cuda": {"type": "path", "required": True},
            "archive": {"type": "path", "default": ""},
            "version": {"type": "str", "default": ""},
            "in_use": {"type": "bool", "default": False},
            "foreign": {"type": "bool", "default": False},
            "stack_root": {"type": "path", "default": ""},
            "armed": {"type": "str", "default": ""},
            "ldconfig": {"type": "bool", "default": True},
            "state": {"type": "str", "choices": ["status", "swapped", "restored"], "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
