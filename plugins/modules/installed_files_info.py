#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: installed_files_info
short_description: Say which component of a generation installed a file
description:
  - Reads the list of what the components of a generation installed. M(neuraltalk.provision.component_stamp) writes it.
    Changes nothing.
options:
  stack_root:
    description: The directory that contains C(generations).
    type: path
    required: true
  id:
    description: The generation's id.
    type: str
    required: true
  paths:
    description: Paths in the generation, at most 1000.
    type: list
    elements: str
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
- name: Ask which component installed a library
  neuraltalk.provision.installed_files_info:
    stack_root: /opt/neuraltalk
    id: 0a1b2c3d4e5f6071
    paths: [torch/lib/libTH.so.0]
"""

RETURN = r"""
predicted:
  description: Whether the module ran in check mode.
  returned: success
  type: bool
components:
  description: The component of each path, as a list in the order of O(paths); empty for a path that none installed.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import installed
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.host.texts import as_text
from ..module_utils.rules import layout, pack


def work(module):
    """The result of the module: the component of each path."""
    root, name, paths = module.params["stack_root"], module.params["id"], module.params["paths"]
    if not pack.ID.match(name) or len(paths) > pack.MOST_NAMED:
        raise StackError("%s is not the id of a generation, or there are more than %d paths" % (name, pack.MOST_NAMED))
    listed = installed.read(layout.generation(root, name))
    return {"changed": False, "components": [listed.get(as_text(path), {}).get("component", "") for path in paths]}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "paths": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
