#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: pushed_file_info
short_description: Say whether a host has a file already, and whether it can receive it
description:
  - Fails if another user could replace the file, because of its directory.
  - Compares the file with its SHA-256 if it is there, looks for pieces of it that an earlier transfer left, for free
    space and inodes, whether the disk can be written, and whether the controller can be reached. Changes nothing.
  - The action plugin of this name adds the address of the controller, as it is on the way to this host.
options:
  path:
    description: The path of the file on the host.
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
  address:
    description: The address at which other hosts reach this one.
    type: str
    required: true
  rack:
    description: The rack of the host; empty if it is not known.
    type: str
    default: ''
  controller:
    description: The address of the controller; the action plugin finds it if it is empty.
    type: str
    default: ''
  listen:
    description: The port on which the controller listens.
    type: int
    required: true
  key:
    description: The secret of this transfer, which the controller asks for.
    type: str
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
- name: Look for the file
  neuraltalk.provision.pushed_file_info:
    path: /opt/neuraltalk/data/cocotalk.h5
    size: 23000000000
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    address: "{{ ansible_host | default(inventory_hostname) }}"
    key: "{{ transfer_key }}"
    listen: 23810
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
place:
  description: What is on the host.
  returned: success
  type: dict
  contains:
    state:
      description: V(present) for the file itself, V(other) for something else of its name or a file that another user
        can write, V(absent) for neither.
      type: str
    have:
      description: Bytes of it that an earlier transfer left.
      type: int
    reaches:
      description: Whether the controller, asked with O(key), answers this host.
      type: bool
    controller:
      description: The address of the controller that was tried.
      type: str
    address:
      description: The address at which other hosts reach this one.
      type: str
    rack:
      description: The rack of the host.
      type: str
    connection:
      description: The name of the socket of ssh's shared connection to the host. The action plugin adds it.
      type: str
    identity:
      description: C(machine), equal for all its names; C(directories), equal for a shared directory; C(filesystem).
      type: dict
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import identity
from ..module_utils.host.disk import existing
from ..module_utils.host.files import file_size
from ..module_utils.host.outcome import run_module
from ..module_utils.push import asking
from ..module_utils.push.part_file import check_space, others_of, part_of
from ..module_utils.push.place import check_disk, check_place, state_of
from ..module_utils.rules.pieces import SOURCE, Server

SECONDS = 5
PAUSES = (0, 0.5)


def reaches(address, port, key):
    """Whether the controller of this transfer answers there. If many hosts ask at once, it can turn one away."""
    server = Server(SOURCE, address, port)
    for pause in PAUSES if address else ():
        time.sleep(pause)
        if asking.state(server, SOURCE, key, SECONDS) is not None:
            return True
    return False


def work(module):
    """The result of the module."""
    options = module.params
    path, size = options["path"], options["size"]
    check_place(path)
    state = state_of(path, size, options["sha256"])
    have = file_size(part_of(path, options["sha256"]))
    if state != "present":
        check_disk(os.path.dirname(path), os.path.exists(part_of(path, options["sha256"])))
        freed = sum(file_size(one) for one in others_of(path, options["sha256"]))
        check_space(existing(os.path.dirname(path)), max(size - min(have, size) - freed, 0))
    place = {
        "state": state,
        "have": have,
        "reaches": reaches(options["controller"], options["listen"], options["key"]),
        "controller": options["controller"],
        "address": options["address"],
        "rack": options["rack"],
        "connection": "",
        "identity": identity.facts(os.path.dirname(path)),
    }
    return {"changed": False, "place": place}


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "size": {"type": "int", "required": True},
            "sha256": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "rack": {"type": "str", "default": ""},
            "controller": {"type": "str", "default": ""},
            "listen": {"type": "int", "required": True},
            "key": {"type": "str", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
