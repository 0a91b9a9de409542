#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: generation_fetch
short_description: Fetch a packed generation to the controller, with a limit on its size
description:
  - The action plugin of this name calls the module for one piece after the other, and writes them to a file on the
    controller. It fails if the host sends more than O(size) bytes, or if the SHA-256 differs at the end. The file gets
    its name only when it is complete.
  - The module itself, on the host, reads one piece. No other user of the host is involved, and no other program.
options:
  path:
    description: The packed generation on the host.
    type: path
    required: true
  dest:
    description: The file on the controller. An existing one is replaced.
    type: path
    required: true
  sha256:
    description: The SHA-256 of the packed generation.
    type: str
    required: true
  size:
    description: Its size in bytes.
    type: int
    required: true
  largest:
    description: The most bytes that are accepted.
    type: int
    default: 17179869184
  offset:
    description: Where the piece begins. Only the action plugin sets it.
    type: int
    default: 0
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: A change is always reported. Nothing is fetched in check mode.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Fetch the packed generation
  neuraltalk.provision.generation_fetch:
    path: "{{ packed.pack.path }}"
    sha256: "{{ packed.pack.sha256 }}"
    size: "{{ packed.pack.size }}"
    dest: /srv/mirror/cache/0a1b2c3d4e5f6071/generation.tar
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
piece:
  description: The bytes of the piece, compressed by zlib, as base64. The action plugin does not return it.
  returned: success
  type: str
"""

import base64
import io
import zlib

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.outcome import run_module
from ..module_utils.rules import pack


def work(module):
    """The result of the module: one piece of the file."""
    with io.open(module.params["path"], "rb") as file:
        file.seek(module.params["offset"])
        piece = zlib.compress(file.read(pack.CHUNK), 1)
        return {"changed": False, "piece": base64.b64encode(piece).decode("ascii")}


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
            "largest": {"type": "int", "default": pack.LARGEST},
            "offset": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
