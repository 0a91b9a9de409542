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
  unsupported:
    description:
      - Versions with which the build is known to fail. If such a version would be installed, nothing is installed, and
        the module fails with the name, the version and the words.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is, for people.
        type: str
        required: true
      packages:
        description: Names of the package, of which one is required.
        type: list
        elements: str
        required: true
      versions:
        description: A range such as V(>=4) or V(>=4,<4.2).
        type: str
        required: true
      words:
        description: Why it is refused, and what helps.
        type: str
        required: true
  origins:
    description: The repository that usually has a package, by package. For the message if none has it.
    type: dict
    default: {}
  wait:
    description:
      - Seconds to wait for other programs that use the package manager. Then the module fails and names them. It also
        fails if the controller ends meanwhile.
    type: int
    default: 600
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
          description: Optional packages that no repository has, or that cannot be installed.
          type: list
          elements: str
absent:
  description: Optional packages that no repository has, or that cannot be installed.
  returned: success
  type: list
  elements: str
"""

import functools

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import package_locks
from ..module_utils.host.commands import log_tail, run_logged
from ..module_utils.host.errors import StackError
from ..module_utils.host.limits import ending
from ..module_utils.host.outcome import run_module
from ..module_utils.host.package_locks import ended_with_controller
from ..module_utils.host.package_managers import QUIET, manager_of
from ..module_utils.rules import versions
from ..module_utils.rules.packages import COMMANDS, usual_origins

REFRESH = 1800
INSTALL = 14400
"""Seconds after which reading the repositories, and installing, are ended."""


def _run(argv, log, limit):
    """Run a command of the package manager. Returns the error, or None if it succeeded."""
    ended_with_controller()
    outcome = run_logged(argv, log, environment=QUIET, append=True, timeout=limit)
    if outcome["rc"] == 0:
        return None
    why = "has not ended after %d s" % limit if outcome["rc"] == 124 else "failed (%s)" % ending(outcome["rc"])
    return StackError("%s %s" % (" ".join(argv), why), log=log, tail=log_tail(log), rc=outcome["rc"])


def _need(error):
    if error:
        raise error


def _with_hooks(error, hooks):
    """The error, with the commands of the host that take part in an installation."""
    if not hooks:
        return error
    words = "%s. Programs of this host take part in each installation, and one of them may be the cause: %s"
    return StackError(words % (error, "; ".join(hooks[:5])), **error.details)


def _refuse_unsupported(known, unsupported):
    """Fail if a version that would be installed is known to fail; `known` is {package: version}."""
    for rule in unsupported:
        for name in rule["packages"]:
            if versions.within(known.get(name, ""), rule["versions"]):
                found = (rule["name"], versions.upstream(known[name]), rule["words"])
                raise StackError("no package was installed, because %s %s %s" % found)


def _none_has(names, origins):
    """The words for packages that no repository has, with the repository that usually has them."""
    usual = usual_origins(names, origins)
    return (
        "no repository of this host has %s%s. Add the packages archive of this platform to the mirror, or "
        "configure the host's repositories" % (", ".join(names), ". %s" % usual if usual else "")
    )


def install(manager, missing, optional, options, idle):
    """Install the missing packages and the available optional ones. Returns the optional ones that are not installed.

    `options` are those of the module. `idle` returns when no other program uses the package manager.
    """
    log = options["log"]
    idle()
    manager.repair(log)
    idle()
    refreshed = _run(manager.refresh(), log, REFRESH)
    if not manager.tolerant:
        _need(refreshed)
    known = manager.known(missing + optional)
    unknown = [name for name in missing if name not in known]
    if unknown:
        # A repository that could not be read is probably the one that has them.
        _need(refreshed)
        raise StackError(_none_has(unknown, options["origins"]), log=log)
    _refuse_unsupported(known, options["unsupported"])
    available = [name for name in optional if name in known]
    failed = None
    # The optional ones must not be the reason why the others cannot be installed.
    for names in [missing + available] + [missing] * bool(missing and available):
        idle()
        failed = _run(manager.install(names), log, INSTALL)
        if not failed or failed.details["rc"] == 124:
            break
    has = manager.installed(missing + optional)
    still = [name for name in missing if name not in has]
    if still:
        # If nothing is missing, something else failed: a package of the site, or a hook.
        _need(failed and _with_hooks(failed, manager.hooks()))
        raise StackError("installed without an error, but still missing: %s" % ", ".join(still), log=log)
    return [name for name in optional if name not in has]


def work(module):
    """The result of the module: the component C(packages), its change, and the packages that no repository has."""
    options = module.params
    repository = options["repository"] if not module.check_mode else ""
    manager = manager_of(options["manager"], repository)
    before = manager.installed(options["required"] + options["optional"])
    missing = [name for name in options["required"] if name not in before]
    optional = [name for name in options["optional"] if name not in before]
    installs = bool(missing) and not module.check_mode
    idle = functools.partial(package_locks.wait, options["manager"], options["wait"])
    absent = install(manager, missing, optional, options, idle) if installs else []
    after = before if module.check_mode else manager.installed(options["required"] + options["optional"])
    return {
        "changed": bool(missing),
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
            "manager": {"type": "str", "choices": sorted(COMMANDS), "required": True},
            "required": {"type": "list", "elements": "str", "required": True},
            "optional": {"type": "list", "elements": "str", "default": []},
            "repository": {"type": "str", "default": ""},
            "origins": {"type": "dict", "default": {}},
            "unsupported": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "packages": {"type": "list", "elements": "str", "required": True},
                    "versions": {"type": "str", "required": True},
                    "words": {"type": "str", "required": True},
                },
            },
            "wait": {"type": "int", "default": package_locks.LIMIT},
            "log": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
