#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: luarocks_make
short_description: Build a rock from its source tree without the network, and load it
description:
  - Removes the files of an earlier cmake, then runs C(luarocks make) of the generation's own luarocks, without any
    rocks server.
  - A return code of 0 does not mean that the rock loads. So luajit requires every module in O(loads) afterwards, each
    in its own process.
options:
  generation:
    description: The generation whose Torch prefix gets the rock.
    type: path
    required: true
  source:
    description: The rock's source tree.
    type: path
    required: true
  rockspec:
    description: Glob of the rockspec below the source tree. Exactly one file must match.
    type: str
    required: true
  loads:
    description: Lua modules that must load afterwards.
    type: list
    elements: str
    required: true
  tries:
    description: Lua programs that must run to their end after the modules are loaded.
    type: list
    elements: str
    default: []
  libraries:
    description: Libraries, relative to the generation, whose symbols must all be resolved afterwards.
    type: list
    elements: str
    default: []
  needs_card:
    description:
      - Whether the modules load only on a host with a GPU. On another host it is only checked that they are installed.
    type: bool
    default: false
  env:
    description: Variables to add to the environment of the build and of the trials.
    type: dict
    default: {}
  log:
    description: The file for luarocks' output.
    type: path
    required: true
  jobs:
    description: How many compilers run at the same time.
    type: int
    default: 1
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: A change is always reported. Nothing is built in check mode.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Build cjson
  neuraltalk.provision.luarocks_make:
    generation: /opt/neuraltalk/generations/0a1b
    source: /opt/neuraltalk/build/0a1b/cjson
    rockspec: lua-cjson-2.*.rockspec
    loads: [cjson]
    log: /opt/neuraltalk/generations/0a1b/logs/cjson.log
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
evidence:
  description: One entry for each library, module and program.
  returned: success
  type: list
  elements: dict
  contains:
    module:
      description: The library or the Lua module; V(a trial) for a program.
      type: str
    seconds:
      description: How long it took to load, in seconds.
      type: float
    version:
      description: The version that it reports, or what was checked instead.
      type: str
"""

import glob
import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.gpu.trial import try_on_card
from ..module_utils.host.commands import log_tail, run_logged, with_stack
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import remove_any
from ..module_utils.host.limits import ending
from ..module_utils.host.lua import try_part
from ..module_utils.host.outcome import run_module


def find_rockspec(source, pattern):
    """The path of the only matching rockspec, relative to the source tree. StackError if there is not exactly one."""
    found = sorted(glob.glob(os.path.join(source, pattern)))
    if len(found) != 1:
        existing = sorted(glob.glob(os.path.join(source, "*.rockspec")) + glob.glob(source + "/*/*.rockspec"))
        raise StackError(
            "%d rockspecs match %s in %s, expected one. There are: %s"
            % (len(found), pattern, source, ", ".join(os.path.relpath(p, source) for p in existing) or "none")
        )
    return os.path.relpath(found[0], source)


def clean(source):
    """Remove the files of an earlier build. The CMake cache of a copied tree contains paths of another machine."""
    for name in ("build", "CMakeCache.txt", "build.luarocks"):
        remove_any(os.path.join(source, name))


def make(generation, source, rockspec, log, jobs, needs_card, env, **part):
    """Build, install and load the rock. Returns the evidence."""
    environment = dict((name, str(value)) for name, value in env.items())
    spec = find_rockspec(source, rockspec)
    clean(source)
    argv = with_stack(generation, ["luarocks", "make", spec])
    outcome = run_logged(argv, log, chdir=source, environment=dict(environment, MAKEFLAGS="-j%d" % jobs))
    if outcome["rc"] != 0:
        raise StackError(
            "luarocks make %s in %s failed (%s)" % (spec, source, ending(outcome["rc"])),
            log=log,
            tail=log_tail(log),
        )
    if needs_card:
        return try_on_card(generation, part, log, environment.get("TORCH_CUDA_ARCH_LIST", ""), environment)
    return try_part(generation, part, log, environment=environment)


def work(module):
    """The result of the module: the evidence that the rock works."""
    return {"changed": True, "evidence": [] if module.check_mode else make(**module.params)}


def main():
    module = AnsibleModule(
        argument_spec={
            "generation": {"type": "path", "required": True},
            "source": {"type": "path", "required": True},
            "rockspec": {"type": "str", "required": True},
            "loads": {"type": "list", "elements": "str", "required": True},
            "tries": {"type": "list", "elements": "str", "default": []},
            "libraries": {"type": "list", "elements": "str", "default": []},
            "needs_card": {"type": "bool", "default": False},
            "env": {"type": "dict", "default": {}},
            "log": {"type": "path", "required": True},
            "jobs": {"type": "int", "default": 1},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
