#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: slurm_node_info
short_description: Return the nodes of Slurm that a host is, with the jobs on them
description:
  - Asks C(scontrol) and C(squeue) on the host where the module runs, which can be another one than the node.
  - What cannot be determined is returned as a problem. Such a host must be treated as one that is in use.
  - Changes nothing.
options:
  names:
    description: The names of the host. Without any, those of the host where the module runs.
    type: list
    elements: str
    default: []
  node:
    description: The name of the host's only node, if it cannot be found because its NodeHostname is another name.
    type: str
    default: ''
  elsewhere:
    description: Whether O(names) are those of another host than that where the module runs.
    type: bool
    default: false
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
  - module: neuraltalk.provision.slurm_node
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Return the nodes that another host is
  neuraltalk.provision.slurm_node_info:
    names: [gpu7, gpu7.example.org]
    elsewhere: true
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
used:
  description: Whether the host is a node, or may be one.
  returned: success
  type: bool
problem:
  description: Why the nodes are not known; empty if they are.
  returned: success
  type: str
nodes:
  description: The nodes.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The name of the node., type: str, returned: always}
    state: {description: "Its state as Slurm prints it.", type: str, returned: always}
    drained: {description: Whether no new job is started on it., type: bool, returned: always}
    down: {description: Whether it is out of service., type: bool, returned: always}
    idle: {description: Whether no job is on it., type: bool, returned: always}
    reason: {description: The reason for the drain., type: str, returned: always}
    by: {description: Who gave the reason., type: str, returned: always}
    since: {description: "When, as Slurm prints it.", type: str, returned: always}
    rollout: {description: The id of the rollout if the drain is ours; else empty., type: str, returned: always}
    jobs:
      description: The jobs on the node, each with C(id), C(state), C(user), C(since) and C(name).
      type: list
      elements: dict
      returned: always
    more: {description: How many jobs were left out., type: int, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.outcome import run_module
from ..module_utils.slurm.nodes import Host, read


def work(module):
    """The result of the module: the nodes of the host."""
    options = module.params
    return dict(read(Host(options["names"], options["elsewhere"], options["node"])), changed=False)


def main():
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "default": []},
            "node": {"type": "str", "default": ""},
            "elsewhere": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
