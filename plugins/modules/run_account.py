#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: run_account
short_description: Create the account that runs belong to, with its directories
description:
  - Creates a system account without a login and without a home if there is no account of that name. Creates the
    directories for its runs. The account can create its own directories there, and cannot touch what belongs to root.
  - Records the uid and the gid of the account below the stack root. Another host that shares the stack root creates the
    account with the same numbers, and fails if its account has others.
  - An account that exists already, also one of a directory service, is used unchanged, unless it is root's.
  - Does nothing if Ansible is not root, or if the name is root's. Runs then belong to the user that Ansible runs as.
options:
  user:
    description: The account's name.
    type: str
    required: true
  stack_root:
    description: The directory that contains C(runs) and C(queue).
    type: path
    required: true
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
- name: Create the account that runs belong to
  neuraltalk.provision.run_account:
    user: neuraltalk
    stack_root: /opt/neuraltalk
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
component:
  description: The component C(account) and its change, for the plan and the report.
  returned: success
  type: dict
  contains:
    name:
      description: Always V(account).
      type: str
    change:
      description: V(build) if the account or a directory is created, else V(keep).
      type: str
    evidence:
      description: Which account runs belong to, in words; null if it will be created, in check mode.
      type: str
"""

import grp
import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.commands import output_of
from ..module_utils.host.environment import login_path
from ..module_utils.runs.account import find, make_places
from ..module_utils.runs.account_numbers import mismatches, record, recorded, usable
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import make_directory
from ..module_utils.host.outcome import run_module
from ..module_utils.rules import layout

HINT = (
    ". %s says which numbers it has on the host that created %s, because hosts that share a directory need equal "
    "numbers. If no other host uses the directory, for example because it is a copy, remove that file"
)
SHELLS = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false")


def make(name, root):
    """Create the account if it is missing, and its directories. StackError with the output of useradd if it fails."""
    try:
        find(name)
    except StackError:
        shell = next((path for path in SHELLS if os.path.exists(path)), SHELLS[-1])
        home = layout.runs(root)
        argv = ["useradd", "--system", "--no-create-home", "--home-dir", home, "--shell", shell]
        numbers = recorded(root, name)
        group = has_group(name)
        hint = HINT % (layout.account(root), root) if numbers else ""
        if numbers and not group:
            run(name, ["groupadd", "--system", "--gid", "%d" % numbers[1], name], hint)
        argv += ["--gid", name] if group or numbers else ["--user-group"]
        argv += ["--uid", "%d" % numbers[0]] if numbers else []
        run(name, argv + [name], hint)
    for problem in mismatches(root, name):
        raise StackError(problem)
    make_directory(root)
    make_places(root, find(name))


def has_group(name):
    """Whether there is a group of that name, in a file or in a directory service."""
    try:
        return bool(grp.getgrnam(name))
    except KeyError:
        return False


def run(name, argv, hint):
    """Run useradd or groupadd. StackError with its output and the hint if it fails."""
    output, code = output_of(argv, timeout=None, environment=login_path())
    if code != 0:
        said = "there is no program %s" % argv[0] if code is None else output.strip() or "code %s" % code
        raise StackError("the account %s cannot be created: %s%s" % (name, said, hint))


def work(module):
    """The result of the module: the component C(account) and its change."""
    name, root = module.params["user"], module.params["stack_root"]
    changed = not usable(root, name)
    if changed and not module.check_mode:
        make(name, root)
    account = None if module.check_mode and changed else find(name)
    if not module.check_mode:
        record(root, account)
    evidence = (
        "runs belong to %s (uid %d)" % (name, account.uid)
        if account
        else "runs belong to the user that Ansible runs as"
    )
    return {
        "changed": changed,
        "component": {
            "name": "account",
            "change": "build" if changed else "keep",
            "evidence": None if changed and module.check_mode else evidence,
        },
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "stack_root": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
