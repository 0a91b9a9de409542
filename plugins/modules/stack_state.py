#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_state
short_description: Return everything about a host that a converge needs, in one call
description:
  - Reads the platform, the package manager, which of the named packages are installed, the generations under the stack
    root with their stamps, free space, GPUs, the driver and CUDA directories.
  - Changes nothing. Does not depend on the distribution's name, so that a CentOS-like system is not refused.
options:
  stack_root:
    description: The directory that contains C(generations) and C(current).
    type: path
    required: true
  packages:
    description: OS packages to look for. Names of other OS families are simply not found.
    type: list
    elements: str
    default: []
  variables:
    description: Names of this project's variables in the inventory. Returned as given, to report wrong names.
    type: list
    elements: str
    default: []
  build_space:
    description:
      - The bytes that must be free before a generation is built, without its artifacts. Returned as given.
      - Sources, objects and the installed tree took 500 MB.
    type: int
    default: 1500000000
  run_user:
    description: The account that runs belong to. The result says whether it exists, with its directories.
    type: str
    default: root
  interpreter:
    description: The inventory's ansible_python_interpreter, if it is set. That Python is used if it has pip.
    type: str
    default: ''
  inventory:
    description:
      - Settings for the GPU, groups and address of the host in the inventory. Returned as given.
      - C(cuda) and C(gcc) are inspected.
    type: dict
    default: {}
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: Nothing is changed.
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read the state of the stack
  neuraltalk.provision.stack_state:
    stack_root: /opt/neuraltalk
    packages: [gcc, gcc-c++]
  register: host_state
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode.
  returned: success
  type: bool
state:
  description: The host's state. Sizes are in bytes.
  returned: always
  type: dict
  contains:
    platform:
      description:
        - The system; C(id), C(id_like), C(version), C(codename), C(base) (the codename of the Ubuntu or
          Debian that it is made of), C(name), C(machine), C(kernel), C(libc) and C(managers).
          C(executable) is the Python of the stack, C(python) its version, and C(pip) whether it has pip.
      type: dict
    packages:
      description: The version of each named package that is installed.
      type: dict
    programs:
      description: Versions of C(cmake), C(protoc), C(protobuf), C(hdf5), C(libhdf5) below /usr/local, which builds use.
      type: dict
    broken:
      description:
        - The programs that builds would use and that do not start, each with C(name), C(path) and C(words). Those that
          have not changed since the current generation was sealed are not started. An HDF5 in /usr/local that gcc
          cannot read, or that the loader does not find, is listed too.
      type: list
      elements: dict
    cc:
      description: The version of cc, with which CMake compiles.
      type: str
    gcc:
      description: The version of the gcc that builds find. That of C(gpu) is the inventory's, if it names one for nvcc.
      type: str
    stack:
      description:
        - The ids C(current) and C(previous), C(since) when the current one is current (in seconds since 1970), and
          C(generations) with stamps, seal and manifest. For one that was unpacked, C(lacks) are the OS packages that it
          needs and the host lacks.
      type: dict
    disk:
      description:
        - The directory C(path) where the stack is or will be, C(free) bytes, how many C(files) can still be created,
          and whether it is C(writable).
      type: dict
    package_users:
      description: Programs that use a package manager of the host now, each with C(pid), C(command) and C(file).
      type: list
      elements: dict
    outside:
      description:
        - The directories outside the stack root in which compilers and package managers write, each with C(free) bytes,
          how many C(files) can still be created, whether it is C(writable), whether programs in it are C(executable),
          and its C(mount) point.
      type: dict
    identity:
      description: C(machine), equal for all its names; C(directories), equal for a shared stack root; C(filesystem).
      type: dict
    obstacles:
      description: Why nothing can be built below the stack root, in words.
      type: list
      elements: str
    temporary:
      description:
        - The directory C(path) for Ansible's temporary files, its C(free) bytes, and the C(problem) if it cannot be
          used.
      type: dict
    busy:
      description: Commands that run below the stack root now, with C(log), C(pid), and C(host) if it is another one.
      type: list
      elements: dict
    controller:
      description: The controller that built last; empty if none is recorded.
      type: str
    activation:
      description:
        - The activation that was not confirmed; C(state) is V(none), V(unconfirmed), V(returned) or V(unreadable).
          C(target) and C(former) are ids of generations, C(cuda) is the CUDA directory whose cuDNN a return restores,
          C(limit) is in seconds, and C(over) says whether it cannot be confirmed any more. After a return, C(cause),
          C(when) (seconds since 1970), C(problem) and C(log).
      type: dict
    lease:
      description: Who holds the lease; C(holder), C(host), C(what), C(since). Null if nobody does.
      type: dict
    places:
      description:
        - The directories from C(/) to the stack root and in it, each with C(path), C(kind), C(uid), C(gid), C(mode) and
          C(acl), whether a directory that its group can write has an access list.
      type: list
      elements: dict
    unsafe:
      description: Why other users could replace what is in the stack root, in words.
      type: list
      elements: str
    cores:
      description: The number of processors.
      type: int
    limits:
      description: The limits of processes (ulimit), C(fsize), C(as), C(cpu), C(nproc), C(nofile). Null without a limit.
      type: dict
    user:
      description: The C(uid) of the user that the module runs as.
      type: dict
    account:
      description: Whether the account O(run_user) exists with its directories.
      type: bool
    gpu:
      description: Whether there are GPUs; C(cards), C(driver), C(processes), C(toolkits), C(gcc) and C(gcc_problem).
      type: dict
    inventory:
      description: The option O(inventory).
      type: dict
    variables:
      description: The option O(variables).
      type: list
      elements: str
    build_space:
      description: The option O(build_space).
      type: int
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.activation import record
from ..module_utils.runs import account_numbers
from ..module_utils.gpu.facts import gpu_facts
from ..module_utils.gpu.toolkits import version_of
from ..module_utils.host import build_tools, disk, identity, limits, package_locks, pythons, starting, system
from ..module_utils.host.environment import path_of
from ..module_utils.host.lease import read_lease
from ..module_utils.rules import layout
from ..module_utils.host.packages import of_dpkg, of_rpm
from ..module_utils.host.stack_facts import stack_facts
from ..module_utils.host.places import places_of, unsafe
from ..module_utils.host.commands import all_builds
from ..module_utils.host.files import read_text
from ..module_utils.host.outcome import run_module
from ..module_utils.rules.packages import COMMANDS


def package_users():
    """The programs that use a package manager of this host now, for the plan."""
    return [entry for name in sorted(COMMANDS) if path_of(COMMANDS[name]) for entry in package_locks.holders(name)]


def login():
    """The uid of the user who logged in, if Ansible became another one with sudo; else the current one."""
    uid = os.environ.get("SUDO_UID", "")
    return int(uid) if uid.isdigit() else os.geteuid()


def installed_packages(names):
    """{name: version} of those of the given packages that are installed, from dpkg and rpm."""
    found = dict(of_rpm(names), **of_dpkg(names))
    return dict((name, found[name]) for name in names if name in found)


def work(module):
    """The result of the module: the state of the host."""
    root, inventory = module.params["stack_root"], module.params["inventory"]
    python = pythons.choose(module.params["interpreter"])
    gpu = gpu_facts(inventory.get("cuda") or "", inventory.get("gcc") or "")
    state = {
        "platform": dict(system.facts(), **dict(python, pip=bool(python["pip"]))),
        "packages": installed_packages(module.params["packages"]),
        "programs": build_tools.own(),
        "broken": starting.broken(root, python["executable"], python["pip"]),
        "gcc": version_of("gcc") if inventory.get("gcc") else gpu["gcc"],
        "cc": version_of("cc"),
        "stack": stack_facts(root),
        "disk": disk.facts(root),
        "package_users": package_users(),
        "outside": disk.outside(),
        "identity": identity.facts(root),
        "obstacles": disk.obstacles(root) + account_numbers.obstacles(root, module.params["run_user"]),
        "temporary": disk.temporary(module._remote_tmp or "", login()),
        "busy": all_builds(root),
        "controller": (read_text(layout.controller(root)) or "").strip(),
        "lease": read_lease(root),
        "activation": record.facts(root),
        "places": places_of(root),
        "unsafe": unsafe(root),
        "cores": os.sysconf("SC_NPROCESSORS_ONLN"),
        "limits": limits.current(),
        "user": {"uid": os.geteuid()},
        "account": account_numbers.usable(root, module.params["run_user"]),
        "gpu": gpu,
        "inventory": inventory,
        "variables": module.params["variables"],
        "build_space": module.params["build_space"],
    }
    return {"changed": False, "state": state}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "variables": {"type": "list", "elements": "str", "default": []},
            "build_space": {"type": "int", "default": 1500000000},
            "run_user": {"type": "str", "default": "root"},
            "interpreter": {"type": "str", "default": ""},
            "inventory": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
