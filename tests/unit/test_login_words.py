"""What a login script of a host prints beside a module's result does not break it, even if it looks like one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.executor import interpreter_discovery

from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.playbook import Outcome, Request
from plugins.callback import bounded_events
from tests.unit import fake_ssh
from tests.unit.fake_ssh import FakeSsh

pytestmark = pytest.mark.slow

RESULT = '{"changed": false, "invocation": {"module_args": {}}}'
PRINTED = {
    "text in braces": ("{node1 is for the group of vision}", ""),
    "an object": ('{"motd": "welcome"}', ""),
    "before and after": ('{"motd": 1}\n{', '{"bye": 1}\n}'),
}


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Outcome]:
    """Runs one module of ours and one of Ansible's on a host whose login prints something before and after."""

    def ask(before: str, after: str) -> Outcome:
        ssh: FakeSsh = fake_ssh.put_on_path(tmp_path, monkeypatch)
        ssh.behave(f"cat <<'end'\n{before}\nend\nsh -c \"$last\"; rc=$?\ncat <<'end'\n{after}\nend\nexit $rc")
        asked = {"stack_root": str(tmp_path / "stack"), "packages": [], "run_user": "root"}
        tasks = [
            {"ansible.builtin.stat": {"path": "/"}},
            {"neuraltalk.provision.stack_state": {**asked, "variables": []}},
        ]
        play = tmp_path / "play.yml"
        play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        return playbook.run(Request(str(play), fake_ssh.inventory(tmp_path / "hosts.yml")))

    return ask


@pytest.mark.parametrize("kind", PRINTED)
def test_result_is_found_beside_what_a_login_script_prints(ask: Callable[[str, str], Outcome], kind: str) -> None:
    outcome = ask(*PRINTED[kind])
    assert outcome.results.failures == ()
    assert outcome.results.by_host("ansible.builtin.stat")["node1"]["stat"]["isdir"]
    assert outcome.results.by_host("stack_state")["node1"]["state"]["platform"]


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
