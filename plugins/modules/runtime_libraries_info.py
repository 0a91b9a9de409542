#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: runtime_libraries_info
short_description: Find out what a host has for programs at run time, and whether it is enough
description:
  - Reads the version of glibc, the level of the processor, and for each library its path and the versions of symbols
    that it defines. Libraries are searched in O(directories), in the loader's cache, and where the loader searches.
options:
  libraries:
    description: The names of the libraries, each with the versions of symbols that are needed from it.
    type: dict
    required: true
  machine:
    description: The machine type that is needed; empty for any.
    type: str
    default: ''
  glibc:
    description: The oldest version of glibc that is enough; empty for any.
    type: str
    default: ''
  level:
    description: The level of x86-64 that is needed, 1 to 4.
    type: int
    default: 1
  python:
    description: The version of Python that is needed, major and minor; empty for any.
    type: str
    default: ''
  interpreter:
    description: The Python that the inventory requests, from which the Python of the stack is chosen.
    type: str
    default: ''
  directories:
    description: Directories that are searched first, with the directories for libraries in them, such as those of CUDA.
    type: list
    elements: path
    default: []
  packages:
    description: Whether to look up the OS package of each library.
    type: bool
    default: false
  demanded:
    description: Whether to fail, with the code C(cache.unfit), if anything that is needed is missing.
    type: bool
    default: false
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: Nothing is changed.
  diff_mode:
    support: N/A
    details: Nothing is changed.
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Find out whether this host can run what was built on another one
  neuraltalk.provision.runtime_libraries_info:
    machine: x86_64
    glibc: "2.34"
    libraries:
      libreadline.so.8: []
      libstdc++.so.6: [GLIBCXX_3.4.29]
"""

RETURN = r"""
predicted:
  description: Whether the module ran in check mode.
  returned: success
  type: bool
runtime:
  description: What the host has.
  returned: success
  type: dict
  contains:
    machine:
      description: The machine type.
      type: str
    glibc:
      description: The version of glibc; empty if the host has another library.
      type: str
    level:
      description: The level of x86-64 of the processor.
      type: int
    python:
      description: The version of the Python of the stack, major and minor.
      type: str
    libraries:
      description: Each library that is there, by its name, with C(path), C(versions) and C(package).
      type: dict
reasons:
  description: Why the programs will not run; empty if they will.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.host.runtime import facts
from ..module_utils.rules import codes, runtime


def work(module):
    """The result of the module: what the host has, and what is missing."""
    options = module.params
    wanted = sorted(options["libraries"])[: runtime.MOST_LIBRARIES]
    for soname in wanted:
        if not runtime.SONAME.match(soname):
            raise StackError("%s is not the name of a library" % soname)
    found = facts(wanted, options["directories"], options["packages"], options["interpreter"])
    missing = runtime.reasons(options, found)
    if missing and options["demanded"]:
        raise StackError(
            "this host cannot run what was built on another one: %s" % "; ".join(missing), code=codes.CACHE_UNFIT
        )
    for soname, library in found["libraries"].items():
        # Only what was asked for: libstdc++ alone defines hundreds of versions.
        library["versions"] = sorted(set(library["versions"]) & set(options["libraries"][soname]))
    return {"changed": False, "runtime": found, "reasons": missing}


def main():
    module = AnsibleModule(
        argument_spec={
            "libraries": {"type": "dict", "required": True},
            "machine": {"type": "str", "default": ""},
            "glibc": {"type": "str", "default": ""},
            "level": {"type": "int", "default": 1},
            "python": {"type": "str", "default": ""},
            "interpreter": {"type": "str", "default": ""},
            "directories": {"type": "list", "elements": "path", "default": []},
            "packages": {"type": "bool", "default": False},
            "demanded": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
