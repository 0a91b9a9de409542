#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: host_lease
short_description: Take or give back the lease on a host's stack
description:
  - One controller at a time works on a stack root. Who has the lease stands in C(lease.json) below it.
  - It fails where somebody else has it, with who, since when and from where, and where others than root and the user
    that it runs as could replace the stack root; in check mode too, in which it changes nothing.
  - It never reports a change, for nothing of the stack changes by it.
options:
  stack_root:
    description: The directory that holds C(generations) and C(current). It is made where there is none.
    type: path
    required: true
  holder:
    description: The controller's name. Empty to see only that nobody else has the lease.
    type: str
    default: ''
  host:
    description: The host's name in the inventory.
    type: str
    default: ''
  what:
    description: The command that it is for, in words.
    type: str
    default: provision
  over:
    description: The holder that the lease may be taken from, because it is dead; C(damaged) for a lease without a name.
    type: str
    default: ''
  state:
    description: What is wanted.
    type: str
    choices: [held, released]
    required: true
author: the neuraltalk-provision authors
"""

EXAMPLES = r"""
- name: Take the lease on the host
  neuraltalk.provision.host_lease:
    stack_root: /opt/neuraltalk
    holder: "{{ provision_lease.holder }}"
    host: "{{ inventory_hostname }}"
    state: held
"""

RETURN = r"""
lease:
  description: Who has the lease afterwards; nothing where nobody has it.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.lease import give, read_lease, refuse_held, take
from ..module_utils.host.places import unsafe
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module


def work(module):
    """The result of the module: the lease as it is now."""
    wanted = module.params
    root, holder, host = wanted["stack_root"], wanted["holder"], wanted["host"]
    acts = bool(holder) and not module.check_mode
    if wanted["state"] == "held":
        for words in unsafe(root)[:1]:
            raise StackError(words)
        if acts:
            take(root, holder, host, wanted["what"], wanted["over"])
        else:
            refuse_held(root, holder, host, wanted["over"])
    elif acts:
        give(root, holder, host, wanted["over"])
    return {"changed": False, "lease": read_lease(root)}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "holder": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
            "what": {"type": "str", "default": "provision"},
            "over": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["held", "released"], "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
