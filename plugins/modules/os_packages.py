#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: os_packages
short_description: Install OS packages from the mirror's repository or from the host's own
description:
  - Calls apt-get, dnf or yum directly. Ansible's own package modules choose by facts, which are wrong on systems that
    Ansible does not know. They also need Python bindings that a host with only Python 2.7 may not have.
  - Required packages are installed in one transaction. Optional packages are installed if the repository has them; the
    result lists those that it does not have.
  - Never prompts. A configuration file that the site has changed, or created before its package, stays (as with
    C(--force-confold); rpm does this by default). If a dpkg was interrupted, its work is finished first.
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
  repository:
    description: A directory that contains a package repository. If it is empty, the host's own repositories are used.
    type: str
    default: ''
  resolve_only:
    description:
      - Only find out whether the packages, and everything that they need, are in the repository. Nothing is installed,
        and the result is otherwise that of an installation.
    type: bool
    default: false
  log:
    description: The file for the package manager's output.
    type: path
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Install what builds Torch
  neuraltalk.provision.os_packages:
    manager: dnf
    required: [gcc-c++, cmake]
    optional: [sox-plugins-freeworld]
    log: /opt/neuraltalk/logs/packages.log
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
component:
  description: The component C(packages) and its change, for the plan and the report.
  returned: success
  type: dict
  contains:
    name:
      description: Always V(packages).
      type: str
    change:
      description: V(build) if packages are installed, else V(keep).
      type: str
    evidence:
      description: What is installed afterwards.
      type: dict
      contains:
        installed:
          description: The version of each of the packages that is installed.
          type: dict
        absent:
          description: Optional packages that no repository has.
          type: list
          elements: str
absent:
  description: Optional packages that no repository has.
  returned: success
  type: list
  elements: str
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.commands import log_tail, run_logged
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import make_directory, write_whole
from ..module_utils.host.outcome import run_module
from ..module_utils.host.packages import of_dpkg, of_rpm, query
from ..module_utils.rules import packages

QUIET = {"DEBIAN_FRONTEND": "noninteractive"}
KEEP_CONFIGURATION = ["--force-confdef", "--force-confold"]


class Apt(object):
    """apt-get. With a repository of the mirror it uses no other."""

    def __init__(self, repository):
        self.options = []
        self.repair_options = []
        if repository:
            make_directory(repository + "/lists/partial")
            write_whole(*packages.apt_listing(repository))
            self.options = packages.apt_options(repository)

    def repair(self, log):
        """Finish an interrupted dpkg, and set the options for installing if packages have missing dependencies."""
        for argv in (["dpkg"] + KEEP_CONFIGURATION + ["--configure", "-a"], ["apt-get", "-q", "check"]):
            outcome = run_logged(argv, log, environment=QUIET, append=True)
        # No package of the site may be removed to repair dependencies.
        self.repair_options = ["--fix-broken", "--no-remove"] if outcome["rc"] != 0 else []

    def refresh(self):
        return ["apt-get", "-q"] + self.options + ["update"]

    def install(self, names, only=False):
        keep = [argument for option in KEEP_CONFIGURATION for argument in ("-o", "Dpkg::Options::=" + option)]
        argv = ["apt-get", "-q", "-y", "--no-install-recommends"] + self.repair_options + keep
        return argv + self.options + ["--download-only"] * only + ["install"] + names

    def known(self, names):
        listing = query(["apt-cache"] + self.options + ["policy"] + names)
        blocks = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", listing, re.M)
        return [name for name, candidate in blocks if candidate != "(none)"]

    def installed(self, names):
        return of_dpkg(names)


class Rpm(object):
    """dnf or yum. With a repository of the mirror it uses no other."""

    def __init__(self, command, repository):
        self.command = command
        self.options = []
        if repository:
            config = repository + "/provision.conf"
            # module_hotfixes: packages of a module are in the repository without its description, and dnf would refuse
            # them. yum does not know the option and ignores it.
            write_whole(
                config,
                "[main]\nreposdir=/dev/null\ngpgcheck=0\ncachedir=%s/cache\n"
                "[provision]\nname=provision\nbaseurl=file://%s\nenabled=1\ngpgcheck=0\nmodule_hotfixes=1\n"
                % (repository, repository),
            )
            self.options = ["-c", config]

    def repair(self, log):
        """Does nothing: an interrupted rpm transaction does not prevent others."""

    def refresh(self):
        return [self.command, "-q"] + self.options + ["makecache"]

    def install(self, names, only=False):
        return [self.command, "-y"] + self.options + ["--downloadonly"] * only + ["install"] + names

    def known(self, names):
        # dnf 5 accepts only the option, yum only the argument, dnf 4 both.
        available = "available" if self.command == "yum" else "--available"
        listing = query([self.command, "-q"] + self.options + ["list", available] + names)
        listed = re.findall(r"^(\S+)\.[^\s.]+\s", listing, re.M)
        return [name for name in names if name in listed]

    def installed(self, names):
        return of_rpm(names)


def _run(argv, log):
    outcome = run_logged(argv, log, environment=QUIET, append=True)
    if outcome["rc"] != 0:
        raise StackError("%s failed (rc %s)" % (" ".join(argv), outcome["rc"]), log=log, tail=log_tail(log))


def install(manager, missing, optional, log, only=False):
    """Install the missing packages and the available optional ones; with `only`, find out whether it is possible.

    Returns the unavailable optional packages.
    """
    manager.repair(log)
    _run(manager.refresh(), log)
    known = set(manager.known(missing + optional))
    unknown = [name for name in missing if name not in known]
    if unknown:
        raise StackError(
            "no repository of this host has %s. Add the packages archive of this platform to "
            "the mirror, or configure the host's repositories" % ", ".join(unknown),
            log=log,
        )
    available = [name for name in optional if name in known]
    if missing or available:
        _run(manager.install(missing + available, only), log)
    still = [name for name in missing if name not in manager.installed(missing)] if not only else []
    if still:
        raise StackError("installed without an error, but still missing: %s" % ", ".join(still), log=log)
    return [name for name in optional if name not in known]


def work(module):
    """The result of the module: the component C(packages), its change, and the packages that no repository has."""
    options = module.params
    repository = options["repository"] if not module.check_mode else ""
    manager = Apt(repository) if options["manager"] == "apt" else Rpm(options["manager"], repository)
    before = manager.installed(options["required"] + options["optional"])
    missing = [name for name in options["required"] if name not in before]
    optional = [name for name in options["optional"] if name not in before]
    installs = bool(missing) and not module.check_mode
    absent = install(manager, missing, optional, options["log"], options["resolve_only"]) if installs else []
    after = before if module.check_mode else manager.installed(options["required"] + options["optional"])
    return {
        "changed": bool(missing) and not options["resolve_only"],
        "absent": absent,
        "component": {
            "name": "packages",
            "change": "build" if missing else "keep",
            "evidence": {"installed": after, "absent": absent},
        },
        "diff": {
            "before_header": "packages",
            "after_header": "packages",
            "before": "",
            "after": "".join(name + "\n" for name in missing),
        },
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "manager": {"type": "str", "choices": sorted(packages.COMMANDS), "required": True},
            "required": {"type": "list", "elements": "str", "required": True},
            "optional": {"type": "list", "elements": "str", "default": []},
            "repository": {"type": "str", "default": ""},
            "resolve_only": {"type": "bool", "default": False},
            "log": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
