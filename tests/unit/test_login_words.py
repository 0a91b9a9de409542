"""What a login script of a host prints beside a module's result does not break it, even if it looks like one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from ansible.executor import interpreter_discovery

from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.playbook import Request
from plugins.callback import bounded_events
from tests.unit import fake_ssh

RESULT = '{"changed": false, "invocation": {"module_args": {}}}'
PRINTED = (
    ("{node1 is for the group of vision}", ""),
    ('{"motd": "welcome"}', ""),
    ('{"motd": 1}\n{', '{"bye": 1}\n}'),
)
"""(what a login prints before a module's result, what it prints afterwards)."""


@pytest.mark.slow
def test_result_is_found_beside_what_a_login_script_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One module of ours and one of Ansible's, on hosts whose login prints something before and after."""
    ssh = fake_ssh.put_on_path(tmp_path, monkeypatch)
    cases = "".join(
        f"node{number}) before={shlex.quote(before)} after={shlex.quote(after)} ;;\n"
        for number, (before, after) in enumerate(PRINTED, start=1)
    )
    ssh.behave(f'case "$host" in\n{cases}esac\necho "$before"; sh -c "$last"; rc=$?; echo "$after"; exit $rc')
    asked = {"stack_root": str(tmp_path / "stack"), "packages": [], "run_user": "root", "variables": []}
    tasks = [{"ansible.builtin.stat": {"path": "/"}}, {"neuraltalk.provision.stack_state": asked}]
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    results = playbook.run(Request(str(play), fake_ssh.inventory(tmp_path / "hosts.yml", len(PRINTED)))).results
    assert results.failures == ()
    for number in range(1, len(PRINTED) + 1):
        assert results.by_host("ansible.builtin.stat")[f"node{number}"]["stat"]["isdir"]
        assert results.by_host("stack_state")[f"node{number}"]["state"]["platform"]


def test_interpreters_are_found_behind_what_a_login_script_prints() -> None:
    printed = "{welcome}\nPLATFORM\nLinux\nFOUND\n/usr/bin/python3\nENDFOUND\n"
    found = interpreter_discovery.foundre.match(printed)
    assert found
    assert found.groups()[-1].split() == ["/usr/bin/python3"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (RESULT, None),
        (f"hello\n{RESULT}\n", None),
        (f"{{hello}}\n{RESULT}\n", RESULT),
        (f'{{"motd": 1}}\n\n{RESULT}\n{{"bye": 1}}\n', RESULT),
        ("{a}\n{b}\n", None),
        ('{"a": ' * 9000 + f"\n{RESULT}", RESULT),
        (f"{RESULT}\n" + "{" * 9000, RESULT),
        ("[]\n{}\n{}", None),
    ],
)
def test_line_with_the_result(text: str, found: str | None) -> None:
    assert bounded_events.result_line(text) == found
