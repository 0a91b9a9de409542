"""The steps of `provision site`: what counts as a failed activation that was undone."""

from __future__ import annotations

from typing import Any

import pytest

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
    (failure,) = steps.activate(["node1"], {}, Settings(), Output(as_json=True))
    assert (failure.not_undone, failure.silent) == (not_undone, not_undone)
    assert failure.message == failed.message
