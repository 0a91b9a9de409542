# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""ansible-runner's events with no more words than somebody reads: a host may answer with any number of bytes.

Runs on the controller, in ansible-playbook. The events carry results as they did (none above 700,000 characters);
what is bounded is the text that Ansible prints of them, which ansible-runner and pexpect keep in memory, several times.
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

from ansible_runner.display_callback.callback import awx_display

MOST = 20000
DROPPED = 700000
"""What ansible-runner makes an empty result of."""
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
