#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: host_use_info
short_description: Return what uses the stack and the cards of a host now
description:
  - Returns the active runs, the other programs of the stack that run, and the processes on cards, with their users.
  - What cannot be determined is returned as a problem. A host with a problem must be treated as one that is in use.
  - Changes nothing. The files of runs are read as the account that they belong to.
options:
  stack_root:
    description: The directory that contains C(current) and C(runs).
    type: path
    required: true
  user:
    description: The account that runs belong to if Ansible is root. Empty or V(root) for root itself.
    type: str
    default: ''
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: Nothing is changed.
  platform:
    platforms: posix
seealso:
  - module: neuraltalk.provision.run_starts
  - module: neuraltalk.provision.slurm_node_info
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Return what uses the host
  neuraltalk.provision.host_use_info:
    stack_root: /opt/neuraltalk
    user: neuraltalk
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
use:
  description: What uses the host.
  returned: success
  type: dict
  contains:
    names: {description: The names of the host as its kernel knows it., type: list, elements: str}
    slurm: {description: "Whether Slurm's programs are installed, or a daemon of a node runs.", type: bool}
    node: {description: "Whether a daemon of a node of Slurm runs.", type: bool}
    runs:
      description: The active runs, each with C(id), C(state), C(pid), C(user), C(since) and C(generation).
      type: list
      elements: dict
    programs:
      description: Other processes of the stack, each with C(pid), C(name), C(user), C(since) and C(generation).
      type: list
      elements: dict
    processes:
      description: Other processes on cards, each with C(pid), C(name), C(user), C(since) and C(cards).
      type: list
      elements: dict
    hidden: {description: How many more processes use cards that cannot be seen from here., type: int}
    more: {description: How many entries were left out because a list was too long., type: int}
    problems: {description: What could not be determined., type: list, elements: str}
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.outcome import run_module
from ..module_utils.runs.host_use import use_of_host


def work(module):
    """The result of the module: what uses the host."""
    return {"changed": False, "use": use_of_host(module.params["stack_root"], module.params["user"])}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "user": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
