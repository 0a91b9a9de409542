#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: os_packages_info
short_description: Ask the package manager whether the packages of a repository could be installed
description:
  - Writes the index of a repository (not its packages) into a temporary directory, lets apt-get, dnf or yum simulate
    the installation, and removes the directory. Installs nothing and changes nothing else.
  - So a plan knows of packages that the repository lacks, and of packages that do not go with those of the host.
options:
  manager:
    description: The package manager to use.
    type: str
    choices: [apt, dnf, yum]
    required: true
  required:
    description: Packages that the build needs.
    type: list
    elements: str
    required: true
  optional:
    description: Packages to install if they are available.
    type: list
    elements: str
    default: []
  index:
    description: The index of the repository, a compressed tar in Base64.
    type: str
    required: true
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
- name: Try the packages
  neuraltalk.provision.os_packages_info:
    manager: apt
    required: [gcc, make]
    index: "{{ lookup('ansible.builtin.file', 'index.tar.gz') | b64encode }}"
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode.
  returned: success
  type: bool
problem:
  description: Why the packages cannot be installed, in the words of the package manager; empty if they can.
  returned: success
  type: str
lacks:
  description: Required packages that the repository does not have.
  returned: success
  type: list
  elements: str
"""

import base64
import io
import os
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.commands import output_of
from ..module_utils.host.environment import clean
from ..module_utils.host.files import make_directory
from ..module_utils.host.outcome import run_module
from ..module_utils.host.package_managers import QUIET, manager_of
from ..module_utils.rules.archives import entries
from ..module_utils.rules.packages import COMMANDS

LIMIT = 600
"""Seconds. Both commands read only local files."""
MOST_LINES = 30


def unpack(index, directory):
    """Write the files of the index into a directory."""
    for entry in entries(io.BytesIO(base64.b64decode(index)), 0):
        if entry.content is not None:
            path = os.path.join(directory, entry.name)
            make_directory(os.path.dirname(path))
            with io.open(path, "wb") as file:
                shutil.copyfileobj(entry.content, file)


def attempt(manager, required, optional):
    """(the required packages that the repository lacks, why the others cannot be installed)."""
    before = manager.installed(required + optional)
    missing = [name for name in required if name not in before]
    text, code = _output(manager.refresh())
    if code != 0:
        return [], text
    known = set(manager.known(missing + [name for name in optional if name not in before]))
    lacks = [name for name in missing if name not in known]
    if not known:
        return lacks, ""
    first = ""
    for argv in manager.simulations(sorted(known)):
        text, code = _output(argv)
        if not manager.is_refusal(text, code):
            return lacks, ""
        first = first or text
    return lacks, first


def _output(argv):
    return output_of(argv, LIMIT, environment=clean(QUIET))


def essence(text):
    """The last lines of an output, from the first line about dependencies on."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    start = next((at for at, line in enumerate(lines) if "unmet depend" in line or line.startswith("Error")), 0)
    return "\n".join(lines[start:][:MOST_LINES])


def work(module):
    """The result of the module: what is missing, and why the rest cannot be installed."""
    options = module.params
    private = tempfile.mkdtemp(prefix="neuraltalk-index-")
    try:
        unpack(options["index"], private)
        lacks, problem = attempt(manager_of(options["manager"], private), options["required"], options["optional"])
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return {"changed": False, "lacks": lacks, "problem": essence(problem)}


def main():
    module = AnsibleModule(
        argument_spec={
            "manager": {"type": "str", "choices": sorted(COMMANDS), "required": True},
            "required": {"type": "list", "elements": "str", "required": True},
            "optional": {"type": "list", "elements": "str", "default": []},
            "index": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
