#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: activation_timer
short_description: Let a host return to its former generation unless its activation is confirmed in time
description:
  - V(armed), before anything is activated, writes the record C(activation.json) below the stack root and arms a timer.
    When the time is over, a program on the host restores cuDNN and the link C(current) as they were before.
  - Where systemd runs and the user is root, the timer is a unit that survives a reboot; the host also returns if it is
    rebooted. Elsewhere it is a process of its own session.
  - V(confirmed) removes the record and the timer. It fails if the host has returned already, and returns the host if
    the time is over.
  - V(absent) returns the host now if its activation was not confirmed, and removes the record and the timer.
  - Only the time since boot counts. The time of day may be wrong or change.
options:
  stack_root:
    description: The directory that contains C(generations) and C(current).
    type: path
    required: true
  id:
    description: The id of the generation that is activated; needed for V(armed) and V(confirmed).
    type: str
    default: ''
  holder:
    description:
      - The controller's name; empty if there is none. With V(absent), the activation of another controller is left
        alone, unless it is empty.
    type: str
    default: ''
  cuda:
    description: For V(armed), the CUDA directory whose cuDNN the activation swaps; empty if it swaps none.
    type: path
    default: ''
  return_after:
    description:
      - For V(armed), the seconds in which the activation has to be confirmed. With V(0), no timer is armed, and the
        record of an earlier activation is removed.
    type: int
    default: 0
  expected:
    description:
      - For V(armed), the generations that may be current, the likeliest first; an empty string stands for none. If
        another one is, except that of O(id), this is an error. Without any, whatever is current is accepted.
    type: list
    elements: str
    default: []
  state:
    description: The state to bring about.
    type: str
    choices: [armed, confirmed, absent]
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The record is not a part of the stack.
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Arm the timer
  neuraltalk.provision.activation_timer:
    stack_root: /opt/neuraltalk
    id: 0a1b2c3d4e5f6071
    return_after: 900
    state: armed
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
did:
  description:
    - The return from an activation that nobody confirmed, in words; empty if there was none. Only then C(changed) is
      true.
  returned: success
  type: str
timer:
  description: The timer, in words; empty if none is armed.
  returned: success
  type: str
state:
  description: The option O(state).
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.activation.control import arm, confirm, undo
from ..module_utils.activation.record import read
from ..module_utils.host.outcome import run_module
from ..module_utils.rules.activation import UNCONFIRMED


def work(module):
    """The result of the module: which unconfirmed activation was undone, and the timer that is armed."""
    options, did, timer = module.params, "", ""
    root, target, holder = options["stack_root"], options["id"], options["holder"]
    if module.check_mode:
        found = read(root)
        is_undone = options["state"] == "absent" and bool(found) and found["state"] == UNCONFIRMED
        is_undone = is_undone and holder in ("", found["holder"])
        return {"changed": is_undone, "did": "", "timer": "", "state": options["state"]}
    if options["state"] == "armed":
        did, timer = arm(
            root, target, holder, options["cuda"].rstrip("/"), options["return_after"], options["expected"]
        )
    elif options["state"] == "confirmed":
        confirm(root, target, holder)
    else:
        did = undo(root, holder)
    return {"changed": bool(did), "did": did, "timer": timer, "state": options["state"]}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "id": {"type": "str", "default": ""},
            "holder": {"type": "str", "default": ""},
            "cuda": {"type": "path", "default": ""},
            "return_after": {"type": "int", "default": 0},
            "expected": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["armed", "confirmed", "absent"], "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
