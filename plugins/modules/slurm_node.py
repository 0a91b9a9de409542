#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: slurm_node
short_description: Drain the nodes of Slurm that a host is, or lift such a drain
description:
  - V(drained) drains the nodes of a host. Their reason begins with C(neuraltalk-provision:) and the id of the rollout.
    Jobs that run go on; new ones are not started. A drain of ours for another rollout gets the new reason.
  - V(resumed) lifts drains with such a reason and no others. A node that is also down stays down.
  - Nodes that somebody else has drained or taken out of service stay as they are, and are returned.
  - Fails with the code C(busy) if Slurm does not answer, and with C(slurm.refused) if this user may not do it.
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
  rollout:
    description: For V(drained), the id of the rollout.
    type: str
    default: ''
  text:
    description: For V(drained), what follows the id in the reason.
    type: str
    default: the stack is being changed
  state:
    description: The state to bring about.
    type: str
    choices: [drained, resumed]
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
  - module: neuraltalk.provision.slurm_node_info
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Drain the nodes that this host is
  neuraltalk.provision.slurm_node:
    rollout: 20261126-1738-0a1b
    state: drained

- name: Lift our own drain
  neuraltalk.provision.slurm_node:
    state: resumed
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
foreign:
  description: The names of the nodes that somebody else has drained or taken out of service.
  returned: success
  type: list
  elements: str
nodes:
  description: The nodes afterwards; in check mode as they are.
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

import re

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.rules.slurm import ROLLOUT
from ..module_utils.slurm import drains
from ..module_utils.slurm.nodes import Host


def work(module):
    """The result of the module: the nodes of the host afterwards."""
    options, dry = module.params, module.check_mode
    host = Host(options["names"], options["elsewhere"], options["node"])
    if options["state"] == "drained":
        if not re.match(ROLLOUT + r"\Z", options["rollout"]):
            raise StackError("%r is not the id of a rollout: use letters, digits and . _ -" % options["rollout"])
        changed, found = drains.drain(host, options["rollout"], options["text"], dry)
    else:
        changed, found = drains.resume(host, dry)
    foreign = [node["name"] for node in found if drains.is_foreign(node)]
    return {"changed": changed, "nodes": found, "foreign": foreign}


def main():
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "default": []},
            "node": {"type": "str", "default": ""},
            "elsewhere": {"type": "bool", "default": False},
            "rollout": {"type": "str", "default": ""},
            "text": {"type": "str", "default": "the stack is being changed"},
            "state": {"type": "str", "choices": ["drained", "resumed"], "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
