#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: os_packages_info
short_description: Ask the package manager whether the packages of a repository could be installed
description:
  - Lets apt-get, dnf or yum find out what an installation would need. Installs nothing.
  - With O(index) they simulate it. The index is written into a temporary directory, which is removed. So a plan knows
    of packages that the repository lacks, and of packages that do not go with those of the host.
  - With O(repository) they also read the package files. So a proof knows that no file is missing or damaged.
  - Without both, an installation from the host's own repositories is simulated. With O(cached), only what was read
    of them before counts.
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
    default: ''
  repository:
    description: A directory that contains the repository with its packages.
    type: str
    default: ''
  cached:
    description: Read no repository. V(lacks) and V(problem) are empty if nothing was read before.
    type: bool
    default: false
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
broken:
  description: Why dpkg of the host would install no package at all, in its own words; empty if it would.
  returned: success
  type: str
lacks:
  description: Required packages that the repository does not have.
  returned: success
  type: list
  elements: str
absent:
  description: Optional packages that the repository does not have.
  returned: success
  type: list
  elements: str
signatures:
  description: Whether rpm of the host refuses packages without a signature (C(%_pkgverify_level)).
  returned: success
  type: bool
versions:
  description: The version of each missing required package that would be installed, as far as it is known.
  returned: success
  type: list
  elements: dict
  contains:
    package:
      description: Its name.
      type: str
    version:
      description: The version, as the package manager writes it.
      type: str
"""

import base64
import io
import os
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import package_locks
from ..module_utils.host.commands import output_of
from ..module_utils.host.files import make_directory
from ..module_utils.host.outcome import run_module
from ..module_utils.host.package_managers import QUIET, manager_of
from ..module_utils.rules.archives import entries
from ..module_utils.rules.packages import COMMANDS

LIMIT = 600
"""Seconds for a command. Those for an index or a repository read only local files."""
MOST_LINES = 30
_TELLING = ("unmet depend", "will be REMOVED")


def unpack(index, directory):
    """Write the files of the index into a directory."""
    for entry in entries(io.BytesIO(base64.b64decode(index)), 0):
        if entry.content is not None:
            path = os.path.join(directory, entry.name)
            make_directory(os.path.dirname(path))
            with io.open(path, "wb") as file:
                shutil.copyfileobj(entry.content, file)


def attempt(manager, required, optional, files, cached=False):
    """{lacks, absent, problem, broken, versions, signatures}: what an installation would find out.

    With `files` it reads the package files too. A host that has the required packages gets no others, so it is not
    asked further.
    """
    before = manager.installed(required + optional)
    missing = [name for name in required if name not in before]
    wanted = [name for name in optional if name not in before]
    answer = {"lacks": [], "absent": [], "problem": "", "broken": "", "versions": [], "signatures": False}  # type: dict[str, object]
    if not missing:
        return answer
    answer["broken"] = manager.broken()
    answer["signatures"] = manager.needs_signatures()
    unread, code = ("", 0) if cached else _output(manager.refresh())
    if code == 0:
        unread = ""
    elif not manager.tolerant:
        return dict(answer, problem=unread)
    known = manager.known(missing + wanted, cached)
    answer["versions"] = [{"package": name, "version": known[name]} for name in missing if name in known]
    if cached and not known:
        return answer
    answer["lacks"] = [name for name in missing if name not in known]
    answer["absent"] = [name for name in wanted if name not in known]
    if answer["lacks"] and unread:
        # The repository that could not be read is probably the one that has them.
        return dict(answer, problem=unread)
    if not known or cached and answer["lacks"]:
        return answer
    problem = _refusal(manager, sorted(known), files, cached)
    needed = [name for name in missing if name in known]
    if problem and len(needed) < len(known) and not _refusal(manager, needed, files, cached):
        # Only optional packages are refused, for example because one conflicts with a package of the host.
        return dict(answer, absent=wanted)
    return dict(answer, problem=problem)


def _refusal(manager, names, files, cached):
    """Why these packages cannot be installed, in the words of the package manager; empty if they can."""
    first = ""
    for argv in manager.simulations(names, files, cached):
        text, code = _output(argv)
        if not manager.is_refusal(text, code, files):
            return ""
        first = first or text
    return first


def _output(argv):
    return output_of(argv, LIMIT, environment=QUIET)


def essence(text):
    """The lines of an output from the first one about an error on, or its last lines if there is none."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    told = [
        at
        for at, line in enumerate(lines)
        if any(words in line for words in _TELLING) or line.startswith(("Err", "E: "))
    ]
    start = told[0] if told else max(len(lines) - MOST_LINES, 0)
    return "\n".join(lines[start:][:MOST_LINES])


def work(module):
    """The result of the module: what is missing, and why the rest cannot be installed."""
    options = module.params
    repository = options["repository"]
    private = tempfile.mkdtemp(prefix="neuraltalk-index-") if options["index"] else ""
    try:
        if private:
            unpack(options["index"], private)
        if repository:
            # A simulation takes no lock, reading the packages does.
            package_locks.wait(options["manager"])
        manager = manager_of(options["manager"], private or repository)
        answer = attempt(manager, options["required"], options["optional"], bool(repository), options["cached"])
    finally:
        if private:
            shutil.rmtree(private, ignore_errors=True)
    return dict(answer, changed=False, problem=essence(answer["problem"]), broken=essence(answer["broken"]))


def main():
    module = AnsibleModule(
        argument_spec={
            "manager": {"type": "str", "choices": sorted(COMMANDS), "required": True},
            "required": {"type": "list", "elements": "str", "required": True},
            "optional": {"type": "list", "elements": "str", "default": []},
            "index": {"type": "str", "default": ""},
            "repository": {"type": "str", "default": ""},
            "cached": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("index", "repository")],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
