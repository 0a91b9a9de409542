#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: run_starts
short_description: Refuse the start of runs on a host while its stack is changed
description:
  - V(refused) refuses the start of runs and then checks that nothing uses the host. If something does, starts are
    allowed again and the module fails with the code C(host.in_use), unless O(in_use) is set. So no run can start
    between the check and the change.
  - Starts are refused as long as O(holder) holds the lease, at most for O(seconds), and until the host boots again.
    V(allowed) ends it before. The start of a run waits a minute, a job of Slurm until starts are allowed again.
options:
  stack_root:
    description: The directory that contains C(current), C(runs) and the lease.
    type: path
    required: true
  holder:
    description: The name of the controller. It must hold the lease.
    type: str
    required: true
  user:
    description: The account that runs belong to if Ansible is root. Empty or V(root) for root itself.
    type: str
    default: ''
  seconds:
    description: How long starts are refused at most.
    type: int
    default: 3600
  in_use:
    description: Whether starts are refused although something uses the host. A start that has begun is waited for.
    type: bool
    default: false
  state:
    description: Whether starts are refused or allowed.
    type: str
    choices: [refused, allowed]
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: There is no text to compare.
  platform:
    platforms: posix
seealso:
  - module: neuraltalk.provision.host_lease
  - module: neuraltalk.provision.host_use_info
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Refuse the start of runs, unless one is active
  neuraltalk.provision.run_starts:
    stack_root: /opt/neuraltalk
    holder: "{{ provision_lease.holder }}"
    user: neuraltalk
    state: refused
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
refused:
  description: Whether starts are refused afterwards.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.rules import codes
from ..module_utils.runs import starts
from ..module_utils.runs.host_use import described, use_of_host


def refuse(options, dry):
    """Refuse starts; returns whether that changed something. StackError with all uses if the host is in use."""
    root = options["stack_root"]
    found = starts.refusal(root)
    changed = not (found and found["holder"] == options["holder"])
    if not dry:
        # First the refusal, then the check: a run that was started before it is seen, and none can start after it.
        starts.refuse(root, options["holder"], options["seconds"])
    uses = described(use_of_host(root, options["user"]))
    if uses and not options["in_use"]:
        if not dry:
            starts.allow(root, options["holder"])
        raise StackError("the host is in use, so nothing was changed: %s" % uses, code=codes.IN_USE)
    return changed


def work(module):
    """The result of the module: whether starts are refused afterwards."""
    options, dry = module.params, module.check_mode
    if options["state"] == "refused":
        return {"changed": refuse(options, dry), "refused": True}
    if dry:
        return {"changed": starts.refusal(options["stack_root"]) is not None, "refused": False}
    return {"changed": starts.allow(options["stack_root"], options["holder"]), "refused": False}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "holder": {"type": "str", "required": True},
            "user": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 3600},
            "in_use": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["refused", "allowed"], "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
