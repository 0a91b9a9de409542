#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: luarocks_make
short_description: Build a rock from its source tree, strictly offline, and load it
description:
  - Runs C(luarocks make) of a generation's own luarocks, with no rocks server configured, after
    removing what an earlier cmake left behind.
  - A return code of 0 does not mean that the rock loads, so every module named in O(loads) is
    required by luajit in a process of its own afterwards.
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
    description: Glob of the rockspec below the source tree; exactly one file has to match.
    type: str
    required: true
  loads:
    description: Lua modules that have to load afterwards.
    type: list
    elements: str
    required: true
  tries:
    description: Lua programs that have to run to their end once the modules are loaded.
    type: list
    elements: str
    default: []
  libraries:
    description: Libraries, relative to the generation, all of whose symbols have to be there afterwards.
    type: list
    elements: str
    default: []
  needs_card:
    description: Whether the modules load only where there is a card; elsewhere they are seen, and not loaded.
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
    description: How many compilers run at once.
    type: int
    default: 1
author: the neuraltalk-provision authors
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
evidence:
  description: For each module the seconds it took to load and the version that it reports.
  returned: success
  type: list
"""

import glob
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.gpu.cards import has_card
from ..module_utils.host.commands import log_tail, run_logged, with_stack
from ..module_utils.host.errors import StackError
from ..module_utils.host.lua import try_part
from ..module_utils.host.outcome import run_module


def find_rockspec(source, pattern):
    """The one rockspec that matches, relative to the source tree."""
    found = sorted(glob.glob(os.path.join(source, pattern)))
    if len(found) != 1:
        there = sorted(glob.glob(os.path.join(source, "*.rockspec")) + glob.glob(source + "/*/*.rockspec"))
        raise StackError(
            "%d rockspecs match %s in %s, expected one. There are: %s"
            % (len(found), pattern, source, ", ".join(os.path.relpath(p, source) for p in there) or "none")
        )
    return os.path.relpath(found[0], source)


def clean(source):
    """Remove what an earlier build left: a copied tree's CMake cache holds another machine's paths."""
    shutil.rmtree(os.path.join(source, "build"), ignore_errors=True)
    for name in ("CMakeCache.txt", "build.luarocks"):
        path = os.path.join(source, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)


def make(generation, source, rockspec, log, jobs, needs_card, env, **part):
    """Build, install and load; the evidence."""
    environment = dict((name, str(value)) for name, value in env.items())
    spec = find_rockspec(source, rockspec)
    clean(source)
    argv = with_stack(generation, ["luarocks", "make", spec])
    outcome = run_logged(argv, log, chdir=source, environment=dict(environment, MAKEFLAGS="-j%d" % jobs))
    if outcome["rc"] != 0:
        raise StackError(
            "luarocks make %s in %s failed (rc %s)" % (spec, source, outcome["rc"]),
            log=log,
            tail=log_tail(log),
        )
    return try_part(generation, part, log, not needs_card or has_card(), environment)


def work(module):
    """The result of the module: the evidence that the rock does what it is for."""
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
