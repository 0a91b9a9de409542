#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: generation_pack
short_description: Pack a sealed generation into one tar, for hosts that need the same one
description:
  - All files are compared with the manifest first. Only what was sealed is packed, without stamps, logs, the seal, and
    files that Python compiles.
  - The same files make the same bytes. Names are sorted, everything belongs to root, all times are 2016-01-01, and the
    tar is not compressed, because compressed bytes depend on the version of zlib.
  - The tar is written to a temporary file beside, synced and renamed.
options:
  stack_root:
    description: The directory that contains C(generations) and C(current).
    type: path
    required: true
  id:
    description: The generation's id.
    type: str
    required: true
  artifacts:
    description: The SHA-256 of files of the mirror. Files of the generation with such a content are left out.
    type: list
    elements: str
    default: []
  outside:
    description: Directories outside the generation, below which its links may lead, such as the CUDA directory.
    type: list
    elements: path
    default: []
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: A change is always reported. Nothing is read in check mode.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Pack the generation
  neuraltalk.provision.generation_pack:
    stack_root: /opt/neuraltalk
    id: 0a1b2c3d4e5f6071
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
pack:
  description: The tar; null in check mode.
  returned: success
  type: dict
  contains:
    path:
      description: Its path on this host.
      type: str
    sha256:
      description: Its SHA-256.
      type: str
    size:
      description: Its size in bytes.
      type: int
    files:
      description: How many files are in it.
      type: int
    left_out:
      description: The SHA-256 of the artifacts of the mirror that it needs beside it.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.host.packing import pack_generation
from ..module_utils.rules import pack


def work(module):
    """The result of the module: the tar that was written."""
    options = module.params
    if not pack.ID.match(options["id"]):
        raise StackError("%s is not the id of a generation" % options["id"])
    if module.check_mode:
        return {"changed": True, "pack": None}
    written = pack_generation(options["stack_root"], options["id"], options["artifacts"], options["outside"])
    return {"changed": True, "pack": written}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "artifacts": {"type": "list", "elements": "str", "default": []},
            "outside": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
