#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: host_lease
short_description: Take or release the lease on the stack of a host
description:
  - One controller at a time works on a stack root. The file C(lease.json) below it names the holder of the lease.
  - Fails if somebody else holds the lease, and says who, since when and from where. Fails also if users other than root
    and the user that it runs as could replace the stack root. In check mode it fails in the same cases.
  - It never reports a change, because the lease is not a part of the stack.
options:
  stack_root:
    description: The directory that contains C(generations) and C(current). It is created if it is missing.
    type: path
    required: true
  holder:
    description:
      - The controller's name. If it is empty, the lease is not taken, and the module fails if somebody holds it.
    type: str
    default: ''
  host:
    description: The host's name in the inventory.
    type: str
    default: ''
  what:
    description: The command that needs the lease, in words.
    type: str
    default: provision
  over:
    description:
      - A holder that is known to be dead, from whom the lease may be taken. V(damaged) for a lease without a holder.
    type: str
    default: ''
  state:
    description: Whether to take the lease or to release it.
    type: str
    choices: [held, released]
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: No change is ever reported.
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
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
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
lease:
  description: The lease afterwards; null if nobody holds it.
  returned: success
  type: dict
  contains:
    holder:
      description: The controller that holds it; empty if the file is damaged.
      type: str
    host:
      description: The name by which that controller knows this host.
      type: str
    what:
      description: The command that needs the lease.
      type: str
    since:
      description: When it was taken, in seconds since 1970.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.lease import check_free, read_lease, release, take
from ..module_utils.host.places import unsafe
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module


def work(module):
    """The result of the module: the lease afterwards."""
    options = module.params
    root, holder, host = options["stack_root"], options["holder"], options["host"]
    writes = bool(holder) and not module.check_mode
    if options["state"] == "held":
        for reason in unsafe(root)[:1]:
            raise StackError(reason)
        if writes:
            take(root, holder, host, options["what"], options["over"])
        else:
            check_free(root, holder, host, options["over"])
    elif writes:
        release(root, holder, host, options["over"])
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
