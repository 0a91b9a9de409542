"""The controller sends a file of the mirror only if the host does not have it, and the host verifies what arrived."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase

HAS_IT = {"whole": True, "changed": False}
LACKS_IT = {"whole": False, "changed": False}
PLACED = {"whole": True, "changed": True}


class Host:
    """A host that answers what is given, and notes what it is asked and sent."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers, self.asked, self.sent = list(answers), [], []  # type: ignore[var-annotated]

    def answer(self, module_name: str, module_args: dict[str, Any], task_vars: object) -> dict[str, Any]:
        self.asked.append(module_args)
        return self.answers.pop(0)


Bring = Callable[..., dict[str, Any]]


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Runs the action plugin for a file of the mirror; its result."""
    plugin = importlib.import_module("plugins.action.artifact_file")
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    (tmp_path / "nn.tgz").write_bytes(b"an archive")

    def bring(host: Host, file: str = "nn.tgz", check: bool = False) -> dict[str, Any]:
        args = {"artifact": "nn", "file": file, "src": str(tmp_path / file) if file else ""}
        action = object.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(args=args, action="neuraltalk.provision.artifact_file", check_mode=check)
        action._connection = SimpleNamespace(_shell=SimpleNamespace(join_path=lambda *parts: "/".join(parts)))
        action._make_tmp_path = lambda: "/var/tmp/x"
        action._execute_module = host.answer
        action._transfer_file = lambda src, dest: host.sent.append((src, dest))
        result: dict[str, Any] = action.run(None, {})
        return result

    return bring


def test_file_that_the_host_has_is_not_sent(bring: Bring) -> None:
    host = Host(HAS_IT)
    assert bring(host) == HAS_IT
    assert host.sent == []


def test_missing_file_is_sent_and_then_placed(bring: Bring, tmp_path: Path) -> None:
    host = Host(LACKS_IT, PLACED)
    assert bring(host) == PLACED
    assert host.sent == [(str(tmp_path / "nn.tgz"), "/var/tmp/x/sent")]
    assert [asked.get("sent") for asked in host.asked] == [None, "/var/tmp/x/sent"]


@pytest.mark.parametrize("more", [{"check": True}, {"file": ""}])
def test_nothing_is_sent_in_check_mode_or_if_the_host_downloads(bring: Bring, more: dict[str, Any]) -> None:
    host = Host(LACKS_IT)
    assert bring(host, **more) == LACKS_IT
    assert host.sent == []


@pytest.mark.parametrize("bad", [{"failed": True, "msg": "refused"}, {"unreachable": True, "msg": "gone"}])
@pytest.mark.parametrize("before", [0, 1])
def test_failure_of_the_host_is_the_result(bring: Bring, bad: dict[str, Any], before: int) -> None:
    host = Host(*[LACKS_IT] * before, bad)
    assert bring(host) == bad
    assert len(host.sent) == before


def test_file_that_is_missing_on_the_controller_is_named(bring: Bring, tmp_path: Path) -> None:
    host = Host(LACKS_IT)
    result = bring(host, file="gone.tgz")
    assert result["failed"]
    assert "artifact nn" in result["msg"]
    assert str(tmp_path / "gone.tgz") in result["msg"]
    assert host.sent == []
