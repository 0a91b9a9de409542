# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""ansible-runner's events with no more words than somebody reads: a host may answer with any number of bytes.

Runs on the controller, in ansible-playbook. The events carry results as they did (none above 700,000 characters); what
is bounded is the text that Ansible prints of them, which ansible-runner and pexpect keep in memory, several times.

It also changes how Ansible reads what a host prints, because login scripts can print lines of their own: a module's
result is found among other lines that start with a brace (Ansible takes the first one for the beginning of the result),
and the interpreters of a host are found behind other lines. sudo and su are started so that their messages are English:
those of other languages have no codes. And sudo-rs, the sudo of Ubuntu 26.04, is understood, which has other words than
the sudo that Ansible knows.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = """
    name: bounded_events
    short_description: Playbook events for ansible-runner, with what is printed of results bounded
    description:
      - As ansible-runner's own, but for the text of results.
    type: stdout
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
"""

import json
import re

from ansible.executor import interpreter_discovery
from ansible.plugins import action, become
from ansible.plugins.become import su, sudo
from ansible_runner.display_callback.callback import awx_display

MOST = 20000
DROPPED = 700000
"""What ansible-runner makes an empty result of."""
RESULT_KEYS = ("invocation", "changed", "failed")
"""What a line must contain to be the result of a module."""
ENGLISH = "export LC_ALL=C; "
"""What is written before sudo and su in a command. `LC_ALL=C sudo` would not change the language of the shell."""
FAILURES = ("runner_on_failed", "runner_on_unreachable")


class CallbackModule(awx_display.CallbackModule):
    CALLBACK_NAME = "bounded_events"
    CALLBACK_TYPE = "stdout"
    CALLBACK_VERSION = 2.0

    def _dump_results(self, result, *given, **named):
        """The words that are printed of a result."""
        return awx_display.CallbackModule._dump_results(self, bounded(result), *given, **named)

    def capture_event_data(self, event, **given):
        """As ansible-runner's own; a failure keeps its words, where it would be dropped for what else it holds."""
        if event in FAILURES and isinstance(given.get("res"), dict) and len(str(given["res"])) > DROPPED:
            given["res"] = bounded(given["res"])
        return awx_display.CallbackModule.capture_event_data(self, event, **given)


def bounded(result):
    """The result with its long values cut, and told as text."""
    texts = ((key, value if isinstance(value, str) else str(value)) for key, value in result.items())
    return dict(result, **dict((key, text[:MOST] + "...") for key, text in texts if len(text) > MOST))


def result_line(text):
    """The line of a module's output that is its result; None if at most one line starts with a brace."""
    lines = [line for line in text.splitlines() if line.strip().startswith("{")]
    for line in reversed(lines) if len(lines) > 1 else ():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and any(key in value for key in RESULT_KEYS):
            return line
    return None


_ansibles_own = action._filter_non_json_lines


def _filter_non_json_lines(data, objects_only=False):
    line = result_line(data)
    return _ansibles_own(data, objects_only) if line is None else (line, [])


def check_password_prompt(self, b_output):
    """As Ansible's own for sudo; also if the prompt stands within the one of sudo-rs."""
    return become.BecomeBase.check_password_prompt(self, b_output.replace(b"[sudo: [sudo via", b"[sudo via"))


def check_success(self, b_output):
    """As Ansible's own for sudo; but not if sudo quotes the command that it refuses, which has the same words."""
    begun = become.BecomeBase.check_success(self, b_output)
    return begun and b"echo %s" % self.success.encode() not in b_output


def in_english(plugin):
    """Let Ansible's plugin start sudo or su with English messages, whatever the language of the login is."""
    own = plugin.build_become_command

    def build_become_command(self, cmd, shell):
        command = own(self, cmd, shell)
        return command if not cmd or command.startswith(ENGLISH) else ENGLISH + command

    plugin.build_become_command = build_become_command


def change_ansible():
    """Let Ansible use these functions and words for what it reads from hosts."""
    sudo.BecomeModule.check_password_prompt = check_password_prompt
    sudo.BecomeModule.check_success = check_success
    for plugin in (sudo.BecomeModule, su.BecomeModule):
        in_english(plugin)
    sudo.BecomeModule.fail += ("Authentication failed, try again.",)
    sudo.BecomeModule.missing += ("sudo: interactive authentication is required",)
    found = interpreter_discovery.foundre
    action._filter_non_json_lines = _filter_non_json_lines
    interpreter_discovery.foundre = re.compile(".*?" + found.pattern.replace("(?s)", ""), found.flags | re.DOTALL)


change_ansible()
