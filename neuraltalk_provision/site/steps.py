"""The steps of `provision site` on hosts, each by one playbook: build, prepare, activate, follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from neuraltalk_provision.host_names import lines
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.generations import Kept, PrunedResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import host_results, playbook
from neuraltalk_provision.site.events import LONGEST_MESSAGE, Change, Event, Failure, PlayResults, change

UNDONE = "absent"
"""The state of activation_timer after which no activation is open on a host."""
CONFIRMED = "confirmed"
"""The state of activation_timer after which a host has the new generation, tested, and only old ones are removed."""


@dataclass(frozen=True)
class Staged:
    """What staging changed (in check mode: would change), and the failures."""

    changes: tuple[Change, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Activated:
    """The failures of an activation, and {host: why} of the hosts from which old generations were not removed.

    A host that failed has its former generation and cuDNN again, unless the failure says `not_undone`.
    """

    failures: tuple[Failure, ...] = ()
    not_removed: Mapping[str, str] = field(default_factory=dict)


def stage(
    hosts: Sequence[str],
    given: Mapping[str, Any],
    settings: Settings,
    output: Output,
    *,
    check: bool = False,
    diff: bool = False,
) -> Staged:
    """Build a new generation on these hosts, at the same time. The current generations are not changed."""
    return _staged(hosts, _run("site.yml", hosts, given, settings, output, check=check, diff=diff), output, check, diff)


def build(hosts: Sequence[str], given: Mapping[str, Any], settings: Settings, output: Output) -> PlayResults:
    """The results of building on these hosts; a host that returned nothing has failed."""
    results = _run("site.yml", hosts, given, settings, output).results
    return replace(results, failures=host_results.failures_of(results, hosts))


def prepare(
    hosts: Sequence[str],
    given: Mapping[str, Any],
    settings: Settings,
    output: Output,
    *,
    check: bool = False,
    diff: bool = False,
) -> Staged:
    """Install what belongs to the machine itself on hosts for which another host builds on a shared disk."""
    outcome = _run("prepare.yml", hosts, given, settings, output, check=check, diff=diff)
    return _staged(hosts, outcome, output, check, diff)


def _staged(hosts: Sequence[str], outcome: playbook.Outcome, output: Output, check: bool, diff: bool) -> Staged:
    if diff:
        output.diffs(outcome.results.diffs)
    # Without check mode, predictions are made too, before the changes; in check mode there are only predictions.
    changes = tuple(change for change in outcome.results.changes if change.predicted == check)
    return Staged(changes, host_results.failures_of(outcome.results, hosts))


def follow(hosts: Sequence[str], given: Mapping[str, Any], settings: Settings, output: Output) -> tuple[Failure, ...]:
    """Verify on these hosts what another host built and activated in their common stack root; the failures."""
    return host_results.failures_of(_run("follow.yml", hosts, given, settings, output).results, hosts)


def activate(hosts: Sequence[str], given: Mapping[str, Any], settings: Settings, output: Output) -> Activated:
    """Make the staged generation current on these hosts, tested before and after. Tells what was not removed."""
    results = _run("activate.yml", hosts, given, settings, output).results
    last = results.by_host("activation_timer")
    # The last of them, after a failure, is that the timer is disarmed and an activation undone.
    open_ = {host for host, result in last.items() if result.get("state") != UNDONE}
    kept = {host for host, result in last.items() if result.get("state") == CONFIRMED}
    every = host_results.failures_of(results, hosts)
    lost = {one.host: str(Kept(id="", problem=one.message)) for one in every if one.unreachable and one.host in kept}
    failures = tuple(replace(one, not_undone=one.host in open_) for one in every if one.host not in lost)
    failed = {failure.host for failure in failures}
    pruned = {host: _not_removed(result) for host, result in results.by_host("stack_generation").items()} | lost
    not_removed = {host: why for host, why in sorted(pruned.items()) if why and host not in failed}
    for line in lines((host, f"{host}: {why}") for host, why in not_removed.items()):
        output.remark("not removed", f"{line}. The next activation tries again")
    return Activated(failures, not_removed)


def _not_removed(result: Mapping[str, Any]) -> str:
    """Why old generations were not removed; empty if all were."""
    found = host_results.read(PrunedResult, result)
    if isinstance(found, str):
        told = str(result["msg"]) if result.get("failed") and result.get("msg") else found
        return str(Kept(id="", problem=told[:LONGEST_MESSAGE]))
    return "; ".join(str(one) for one in found.kept)[:LONGEST_MESSAGE]


def _run(
    name: str,
    hosts: Sequence[str],
    given: Mapping[str, Any],
    settings: Settings,
    output: Output,
    *,
    check: bool = False,
    diff: bool = False,
) -> playbook.Outcome:
    shown: set[tuple[str, str]] = set()

    def show(event: Event) -> None:
        one = change(event)
        if one and one.change == "build" and one.predicted == check and (one.host, one.component) not in shown:
            shown.add((one.host, one.component))
            output.step(one.host, one.component, "would be built" if check else "built", one.evidence)
        elif event.get("event") == "playbook_on_task_start":
            output.busy(str(event.get("event_data", {}).get("task")))

    request = playbook.Request.of_site(settings, name, hosts, given, check=check, diff=diff)
    with output.working(name):
        return playbook.run(request, show)
