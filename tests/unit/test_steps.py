"""The steps of `provision site`: what counts as a failed activation that was undone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from neuraltalk_provision import paths
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook, steps
from neuraltalk_provision.site.events import Failure, PlayResults

ARMED = {"state": "armed", "timer": "process 7"}
UNDONE = {"state": "absent", "timer": ""}
BROKEN = {"failed": True, "msg": "read-only file system"}


@pytest.mark.parametrize(
    ("last", "not_undone"),
    [(None, False), (UNDONE, False), (ARMED, True), ({"state": "confirmed"}, True), (BROKEN, True)],
)
def test_failed_activation_is_undone_only_if_the_host_says_so(
    monkeypatch: pytest.MonkeyPatch, last: dict[str, Any] | None, not_undone: bool
) -> None:
    """If the timer has not answered, the activation had not begun."""
    results = tuple(("node1", "activation_timer", one) for one in [last] if one)
    failed = Failure("node1", "Load everything through the link", "libhdf5.so.103: cannot open shared object file")
    found = PlayResults(results=(*results, ("node1", "host_lease", {})), failures=(failed,))
    monkeypatch.setattr(playbook, "run", lambda *_: playbook.Outcome(2, found))
    (failure,) = steps.activate(["node1"], {}, Settings(), Output(as_json=True)).failures
    assert (failure.not_undone, failure.silent) == (not_undone, not_undone)
    assert failure.message == failed.message


PRUNED = {"changed": True, "current": "d", "previous": "", "removed": ["b"]}
LEFT = {"id": "a", "problem": "Operation not permitted"}


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({**PRUNED, "kept": []}, ""),
        ({**PRUNED, "kept": [LEFT]}, "generation a was not removed: Operation not permitted"),
        ({**PRUNED, "kept": [{"id": "", "problem": "no /proc"}]}, "old generations were not removed: no /proc"),
        ({"failed": True, "msg": "it took too long"}, "old generations were not removed: it took too long"),
        ({}, "old generations were not removed: its result was lost"),
    ],
)
def test_what_could_not_be_removed_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], result: dict[str, Any], why: str
) -> None:
    found = PlayResults(results=(("node1", "stack_generation", result),))
    monkeypatch.setattr(playbook, "run", lambda *_: playbook.Outcome(0, found))
    done = steps.activate(["node1"], {}, Settings(), Output())
    assert done.failures == ()
    assert done.not_removed.get("node1", "").startswith(why)
    assert f"node1: {why}" in capsys.readouterr().err if why else not done.not_removed


def test_host_that_is_lost_after_its_activation_was_confirmed_has_not_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was lost while its old generations were removed, and a rollout that was to return its hosts returned it."""
    lost = Failure("node1", "Prune | Remove the oldest", "Connection timed out", unreachable=True)
    pruned = ("node1", "stack_generation", {"unreachable": True, "msg": "Connection timed out"})
    before = ("node1", "stack_generation", {"changed": True, "current": "d", "previous": "c", "removed": []})
    for confirmed, done_last in ((True, pruned), (True, before), (False, pruned)):
        last = ("node1", "activation_timer", {"state": "confirmed"} if confirmed else ARMED)
        found = PlayResults(results=(last, done_last), failures=(lost,))
        monkeypatch.setattr(playbook, "run", lambda *_, found=found: playbook.Outcome(4, found))
        done = steps.activate(["node1"], {}, Settings(), Output())
        assert [one.host for one in done.failures] == ["node1"] * (not confirmed)
        assert bool(done.not_removed) == confirmed
        words = "node1: old generations were not removed: Connection timed out" if confirmed else ""
        assert words in capsys.readouterr().err


def test_old_generations_are_removed_last_and_where_no_failure_undoes_the_activation() -> None:
    (play,) = yaml.safe_load((paths.playbooks() / "activate.yml").read_text(encoding="utf-8"))
    activation, removal = play["tasks"]
    assert "rescue" in activation
    assert removal["ansible.builtin.include_role"]["tasks_from"] == "prune"
