#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: generation_unpack
short_description: Unpack a packed generation, and seal it
description:
  - Reads the tar by the same rule as all archives. Its first member lists all files, directories and links with their
    modes and SHA-256. Whatever differs from this list is refused.
  - Files that the tar lacks are files of the mirror, from O(artifacts). They become hard links, or else copies.
  - Everything is done in a directory C(build/ID.part) below O(stack_root), with stamps, manifest and seal, and synced.
    One rename gives the generation its place. So a kill at any moment leaves no generation, or a whole one.
  - A generation that is incomplete and current, or that a run uses, is not replaced. The failure then has the code
    C(cache.unfit).
options:
  stack_root:
    description: The directory that contains C(generations) and C(current).
    type: path
    required: true
  id:
    description: The generation's id.
    type: str
    required: true
  src:
    description: The tar on the host.
    type: path
    required: true
  sha256:
    description: The SHA-256 of the tar.
    type: str
    required: true
  size:
    description: The size of the tar in bytes.
    type: int
    required: true
  components:
    description: Name and digest of each component of the generation.
    type: dict
    required: true
  architectures:
    description: What the GPU part was built for, a TORCH_CUDA_ARCH_LIST. Only such cards are used.
    type: str
    default: ''
  artifacts:
    description: Files of the mirror that are on this host.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path on the host.
        type: path
        required: true
      sha256:
        description: The SHA-256 in the mirror's lock.
        type: str
        required: true
  outside:
    description: Directories outside the generation, below which its links may lead, such as the CUDA directory.
    type: list
    elements: path
    default: []
  origin:
    description: Where and when the generation was built, in words, for its stamps.
    type: str
    required: true
  packages:
    description: The OS packages that the generation needs when it is used; C(stack_state) reports missing ones.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: The tar is not read in check mode.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Unpack the generation
  neuraltalk.provision.generation_unpack:
    stack_root: /opt/neuraltalk
    id: 0a1b2c3d4e5f6071
    src: /opt/neuraltalk/artifacts/9f86d081884c7d65-generation.tar
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    size: 24000000
    components: {torch: 0a1b2c3d4e5f6071}
    origin: built on node1
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
entries:
  description: How many files, directories and links were unpacked; 0 if the generation was there already.
  returned: success
  type: int
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.host.places import unsafe
from ..module_utils.host.unpacking import Unpacking, is_whole
from ..module_utils.rules import pack
from ..module_utils.runs.uses import use_of_generation


def work(module):
    """The result of the module: how many entries were unpacked."""
    options = module.params
    root, name, components = options["stack_root"], options["id"], options["components"]
    if not pack.ID.match(name) or any("/" in component or component.startswith(".") for component in components):
        raise StackError("%s is not the id of a generation, or a component has a name that cannot be" % name)
    if is_whole(root, name, components):
        return {"changed": False, "entries": 0}
    unpacking = Unpacking(
        root, name, dict((file["sha256"], file["path"]) for file in options["artifacts"]), options["outside"]
    )
    unpacking.refuse_in_use(use_of_generation(root, name))
    if module.check_mode:
        return {"changed": True, "entries": 0}
    for reason in unsafe(os.path.dirname(options["src"]))[:1]:
        raise StackError(reason)
    names = ("src", "sha256", "size", "components", "architectures", "origin", "packages")
    return {"changed": True, "entries": unpacking.unpack(**dict((key, options[key]) for key in names))}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "src": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
            "components": {"type": "dict", "required": True},
            "architectures": {"type": "str", "default": ""},
            "artifacts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": {"type": "path", "required": True}, "sha256": {"type": "str", "required": True}},
            },
            "outside": {"type": "list", "elements": "path", "default": []},
            "origin": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
