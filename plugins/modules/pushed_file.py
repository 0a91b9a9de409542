#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: pushed_file
short_description: Receive a file from other hosts, and pass it on
description:
  - Fetches the pieces of a file from the first of O(candidates) that has them, compares each with its digest, and
    serves them at the same time to the hosts that come after this one. Each request needs a proof made with O(key).
  - Pieces that an earlier transfer left are kept. What transfers of other versions left is removed.
    The file gets its name and mode 0644 when it is complete; until then
    only its owner can read it.
  - It serves as long as others ask, and ends by itself, also if the controller has ended. No listener stays behind.
options:
  path:
    description: The path of the file on the host. Its directory is created if it is missing.
    type: path
    required: true
  size:
    description: Its size in bytes.
    type: int
    required: true
  sha256:
    description: Its SHA-256.
    type: str
    required: true
  list_sha256:
    description: The SHA-256 of the list of its pieces' digests.
    type: str
    required: true
  replace:
    description: Whether to replace another file of that name. Otherwise the module fails.
    type: bool
    default: false
  key:
    description: The secret of this transfer.
    type: str
    required: true
  number:
    description: The place of this host in the chain, from 1. The controller has the number 0.
    type: int
    required: true
  candidates:
    description: Who can be asked, the nearest first.
    type: list
    elements: dict
    required: true
    suboptions:
      number:
        description: Its place in the chain.
        type: int
        required: true
      address:
        description: Its address.
        type: str
        required: true
      listen:
        description: Its port.
        type: int
        required: true
  listen:
    description: The port on which this host serves.
    type: int
    required: true
  limit:
    description: The most bytes per second that this host sends; 0 for no limit.
    type: int
    default: 0
  last:
    description: Whether no host comes after this one.
    type: bool
    default: false
  patience:
    description: In so many seconds the first candidate must have begun to listen.
    type: int
    default: 20
  wait:
    description: After so many seconds in which the disk of this host does not answer, it gives up.
    type: int
    default: 600
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: A change is always reported. Nothing is received in check mode.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Receive the data set
  neuraltalk.provision.pushed_file:
    path: /opt/neuraltalk/data/cocotalk.h5
    size: 23000000000
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    list_sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    key: "{{ transfer_key }}"
    number: 2
    candidates:
      - {number: 1, address: 192.0.2.11, listen: 23810}
      - {number: 0, address: 192.0.2.1, listen: 23811}
    listen: 23810
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
file:
  description: How the file was received.
  returned: success
  type: dict
  contains:
    sha256:
      description: The SHA-256 of all that was verified and written.
      type: str
    received:
      description: Bytes that were received.
      type: int
    kept:
      description: Bytes that an earlier transfer had left and that were right.
      type: int
    seconds:
      description: How long it took until the file was complete.
      type: float
    sources:
      description: Who sent how much, as C(number) and C(bytes).
      type: list
      elements: dict
    left:
      description: Who was given up and why, as C(number) and C(why).
      type: list
      elements: dict
    served:
      description: Bytes that were sent to other hosts.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.outcome import run_module
from ..module_utils.push.transfer import Chain, Wanted, transfer
from ..module_utils.rules.pieces import Server


def work(module):
    """The result of the module: how the file was received."""
    options = module.params
    if module.check_mode:
        return {"changed": True}
    wanted = Wanted(*[options[name] for name in ("path", "size", "sha256", "list_sha256", "replace")])
    chain = Chain(
        key=options["key"],
        number=options["number"],
        candidates=[Server(one["number"], one["address"], one["listen"]) for one in options["candidates"]],
        port=options["listen"],
        limit=options["limit"],
        is_last=options["last"],
        patience=options["patience"],
        wait=options["wait"],
    )
    return {"changed": True, "file": transfer(wanted, chain)}


def main():
    number = {"type": "int", "required": True}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "size": {"type": "int", "required": True},
            "sha256": {"type": "str", "required": True},
            "list_sha256": {"type": "str", "required": True},
            "replace": {"type": "bool", "default": False},
            "key": {"type": "str", "required": True, "no_log": True},
            "number": {"type": "int", "required": True},
            "candidates": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"number": number, "address": {"type": "str", "required": True}, "listen": number},
            },
            "listen": {"type": "int", "required": True},
            "limit": {"type": "int", "default": 0},
            "last": {"type": "bool", "default": False},
            "patience": {"type": "int", "default": 20},
            "wait": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
