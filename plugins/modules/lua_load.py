#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: lua_load
short_description: Load Lua modules from a generation, each in a process of its own
description:
  - C(th -e) returns 0 whatever happens; this asks luajit, and looks for what it prints at the end.
  - Reads only. In check mode it does nothing, for there may be nothing to load yet.
options:
  generation:
    description: The generation's directory.
    type: path
    required: true
  modules:
    description: The modules to require.
    type: list
    elements: str
    required: true
  tries:
    description: Lua programs that have to run to their end once the modules are loaded.
    type: list
    elements: str
    default: []
  log:
    description: The file for luajit's output.
    type: path
    required: true
author: the neuraltalk-provision authors
"""

EXAMPLES = r"""
- name: Load Torch
  neuraltalk.provision.lua_load:
    generation: /opt/neuraltalk/current
    modules: [torch, nn]
    log: /opt/neuraltalk/current/logs/load.log
"""

RETURN = r"""
evidence:
  description: For each module the seconds it took to load and the version that it reports.
  returned: success
  type: list
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.lua import try_part
from ..module_utils.host.outcome import run_module


def load(module):
    """The result of the module: the evidence that each Lua module loads."""
    wanted = module.params
    if module.check_mode:
        return {"changed": False, "evidence": []}
    if os.path.exists(wanted["log"]):
        os.unlink(wanted["log"])
    part = {"loads": wanted["modules"], "tries": wanted["tries"]}
    return {"changed": False, "evidence": try_part(wanted["generation"], part, wanted["log"])}


def main():
    module = AnsibleModule(
        argument_spec={
            "generation": {"type": "path", "required": True},
            "modules": {"type": "list", "elements": "str", "required": True},
            "tries": {"type": "list", "elements": "str", "default": []},
            "log": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, load)


if __name__ == "__main__":
    main()
