#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: logged_command
short_description: Run a command and write its output to a log on the host
description:
  - For commands whose output is too long for Ansible's result. If the command fails, the result contains the lines
    that look like the cause, the last lines, and the path of the log.
  - The command gets the system's PATH, and of the environment of the login only what changes no build, such as HOME,
    proxies and the choice of cards. The modules luarocks_make, lua_load and stack_verify do the same.
  - Several programs of this stack return 0 although they failed. So O(expect) can demand a text in the output.
options:
  argv:
    description: The command and its arguments.
    type: list
    elements: str
    required: true
  log:
    description: The file for the output.
    type: path
    required: true
  generation:
    description: Run the command in this generation's environment.
    type: path
  chdir:
    description: The working directory; by default C(/).
    type: path
  env:
    description: Variables to add to the environment of the command.
    type: dict
    default: {}
  index_url:
    description:
      - For pip, with its Python as the first word of O(argv). The index to take packages from. Its user and password
        appear in no command line. Until they are removed from the log, only its owner can read the log.
    type: str
  pip_source:
    description:
      - For pip, with its Python as the first word of O(argv). Its configuration files are not read. With V(host), only
        what they say about the package index counts.
    type: str
    choices: [mirror, index, host]
  expect:
    description: A text that the output must contain. Without it the command has failed, whatever it returned.
    type: str
    default: ''
  time_limit:
    description: Seconds after which the command and its children are killed.
    type: int
    default: 14400
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: partial
    details: The command is not run in check mode, and a change is reported.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Run Torch's installer
  neuraltalk.provision.logged_command:
    argv: [bash, install.sh, -s]
    chdir: /opt/neuraltalk/build/0a1b/torch
    log: /opt/neuraltalk/generations/0a1b/logs/torch.log
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
rc:
  description: The exit code of the command.
  returned: always
  type: int
seconds:
  description: Wall time in seconds.
  returned: always
  type: float
printed:
  description: The last three lines of the output, or of those with O(expect).
  returned: success
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import pip
from ..module_utils.host.secrets import pip_environment
from ..module_utils.host.commands import log_tail, run_logged, with_stack
from ..module_utils.host.errors import StackError
from ..module_utils.host.limits import ending
from ..module_utils.host.files import lines_since, make_directory, read_text, write_whole
from ..module_utils.host.outcome import run_module
from ..module_utils.host.temporary import temporary_directory
from ..module_utils.rules.texts import without_users


def run(index_url, pip_source, **arguments):
    """Run the command; see `run_command`. Pip gets a temporary directory beside the log.

    With `index_url`, passwords are removed from the log at the end.
    """
    if not pip_source:
        return run_with_index(index_url, **arguments)
    make_directory(os.path.dirname(arguments["log"]))
    with temporary_directory(arguments["log"]) as temporary:
        told = dict(pip.environment(arguments["argv"][0], pip_source), TMPDIR=temporary)
        # Also an index in the host's own files can contain a password.
        index_url = index_url or told.get("PIP_INDEX_URL")
        return run_with_index(index_url, **dict(arguments, env=dict(arguments["env"], **told)))


def run_with_index(index_url, **arguments):
    """Run the command. With `index_url`, passwords are removed from the log at the end."""
    if not index_url:
        return run_command(**arguments)
    log, private = arguments["log"], 0o600
    make_directory(os.path.dirname(log))
    write_whole(log, "", private)
    try:
        with pip_environment(arguments["argv"][0], index_url) as environment:
            return run_command(**dict(arguments, env=dict(arguments["env"], **environment)))
    finally:
        write_whole(log, without_users(read_text(log) or ""))


def run_command(argv, log, generation, chdir, env, expect, time_limit):
    """Run the command. Returns {'rc', 'seconds', 'printed'}. StackError if it failed or did not print `expect`."""
    command = with_stack(generation, argv) if generation else argv
    environment = dict((name, str(value)) for name, value in env.items())
    outcome = run_logged(command, log, chdir=chdir, environment=environment, timeout=time_limit)
    # The first line is the command itself.
    said = [line for line in lines_since(log, 0)[1:] if expect in line]
    if outcome["rc"] != 0 or (expect and not said):
        reason = "ran longer than %d s" % time_limit if outcome["rc"] == 124 else ending(outcome["rc"])
        if outcome["rc"] == 0:
            reason = "rc 0, but it did not print %r" % expect
        raise StackError(
            "%s failed (%s)" % (without_users(" ".join(argv)), reason), log=log, tail=log_tail(log), **outcome
        )
    outcome["printed"] = without_users("\n".join(said[-3:]))
    return outcome


def work(module):
    """The result of the module: how the command ended, and what it printed."""
    outcome = {"rc": 0, "seconds": 0.0, "printed": ""} if module.check_mode else run(**module.params)
    return dict(outcome, changed=True)


def main():
    module = AnsibleModule(
        argument_spec={
            "argv": {"type": "list", "elements": "str", "required": True},
            "log": {"type": "path", "required": True},
            "generation": {"type": "path"},
            "chdir": {"type": "path"},
            "env": {"type": "dict", "default": {}},
            "index_url": {"type": "str", "no_log": True},
            "pip_source": {"type": "str", "choices": list(pip.SOURCES)},
            "expect": {"type": "str", "default": ""},
            "time_limit": {"type": "int", "default": 14400},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
