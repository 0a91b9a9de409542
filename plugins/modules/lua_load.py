#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: lua_load
short_description: Load Lua modules from a generation, each in its own process
description:
  - C(th -e) returns 0 even if it fails. So this module runs luajit, and checks that the program printed its last line.
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
    description: Lua programs that must run to their end after the modules are loaded.
    type: list
    elements: str
    default: []
  log:
    description: The file for luajit's output.
    type: path
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: partial
    details: Nothing is loaded in check mode, because the modules may not be built yet.
  diff_mode:
    support: N/A
    details: Nothing is changed.
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Load Torch
  neuraltalk.provision.lua_load:
    generation: /opt/neuraltalk/current
    modules: [torch, nn]
    log: /opt/neuraltalk/current/logs/load.log
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
evidence:
  description: One entry for each module and program.
  returned: success
  type: list
  elements: dict
  contains:
    module:
      description: The Lua module; V(a trial) for a program.
      type: str
    seconds:
      description: How long it took to load, in seconds.
      type: float
    version:
      description: The version that it reports.
      type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.lua import try_part
from ..module_utils.host.outcome import run_module


def load(module):
    """The result of the module: the evidence for each Lua module and program."""
    options = module.params
    if module.check_mode:
        return {"changed": False, "evidence": []}
    if os.path.exists(options["log"]):
        os.unlink(options["log"])
    part = {"loads": options["modules"], "tries": options["tries"]}
    return {"changed": False, "evidence": try_part(options["generation"], part, options["log"])}


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
