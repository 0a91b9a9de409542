"""Hosts that hang: they accept a connection or a login, and then do not answer. The others must not wait for them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.site import advice, codes, playbook
from tests.unit import fake_ssh
from tests.unit.fake_ssh import FakeSsh

pytestmark = pytest.mark.slow


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    return fake_ssh.put_on_path(tmp_path, monkeypatch)


def test_host_that_hangs_after_the_login_is_a_failure_and_the_others_answer(
    ssh: FakeSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(playbook.TASK_LIMITS, fake_ssh.reach(tmp_path), 6)
    ssh.behave("[ $host = node1 ] || exec sleep 300")
    started = time.monotonic()
    outcome = playbook.run(fake_ssh.request(tmp_path, 2))
    assert time.monotonic() - started < 60
    (failed,) = outcome.results.failures
    assert (failed.host, failed.code) == ("node2", codes.HOST_HANGS)
    assert "did not end in the time that it may take" in advice.explain(failed)
    assert outcome.results.by_host(fake_ssh.REACHED)["node1"]["rc"] == 0


def test_port_that_accepts_and_says_nothing_is_not_tried_again_and_again(
    ssh: FakeSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(playbook, "_sleep", waited.append)
    ssh.behave(
        "[ $host = node1 ] || { printf 'Connection timed out during banner exchange\\r\\n"
        "Connection to 192.0.2.1 port 22 timed out\\r\\n' >&2; exit 255; }"
    )
    (failed,) = playbook.run(fake_ssh.request(tmp_path, 2)).results.failures
    assert (failed.host, failed.code, failed.unreachable, waited) == ("node2", codes.SSH_SILENT, True, [])
    assert "accepts the connection but does not answer" in advice.explain(failed)


def test_every_playbook_that_has_a_limit_exists() -> None:
    assert all((paths.playbooks() / name).is_file() for name in playbook.TASK_LIMITS)


def test_playbooks_that_build_have_no_limit() -> None:
    assert not {"site.yml", "prepare.yml", "run.yml"} & set(playbook.TASK_LIMITS)
