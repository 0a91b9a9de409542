"""Rollouts on nodes of Slurm where everything fails at random, killed, paused and continued until they end.

No host changes while its node is open, no host keeps the new generation unnamed after a rollback, and when the failures
end, one `provision site` brings every host to the new generation and lifts every drain. In half of the worlds some
hosts share a stack root.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.fleet import command
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.records import UNFINISHED, Phase, Status
from neuraltalk_provision.fleet.survey import Survey
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.sharing import Share
from tests.unit.plans import RECIPE, planned
from tests.unit.test_fleet_command import OFF, fleet, settings
from tests.unit.test_fleet_evidence import Nodes, changed

__all__ = ["fleet", "settings"]
HOSTS = [f"node{number}" for number in range(1, 8)]
NEW, OLD = RECIPE.id, "aaaa"
KILLS = 0.05
ROOTS = {"node2": "node1", "node6": "node5", "node7": "node5"}
"""{host: the host whose stack root it shares}"""


@dataclass
class World(Nodes):
    """Hosts with their current generation. `calm` ends the failures."""

    chosen: random.Random = field(default_factory=random.Random)
    current: dict[str, str] = field(default_factory=lambda: dict.fromkeys(HOSTS, OLD))
    calm: bool = False
    pauses: Path | None = None
    roots: dict[str, str] = field(default_factory=dict)

    def root(self, host: str) -> str:
        return self.roots.get(host, host)

    def happens(self, chance: float) -> bool:
        return not self.calm and self.chosen.random() < chance

    def some(self, chance: float) -> set[str]:
        return {host for host in HOSTS if self.happens(chance)}

    def run(self, request: playbook.Request, *more: object) -> playbook.Outcome:
        if self.happens(KILLS):
            raise SystemExit(9)
        self.silent, self.stuck, self.refusing = self.some(0.05), self.some(0.1), self.some(0.03)
        self.jobs = dict.fromkeys(self.some(0.05), 1)
        if self.pauses and self.happens(0.02):
            with contextlib.suppress(UsageError):
                Journal.request_pause(self.pauses, "me", lambda _: False)
        if request.playbook in ("use.yml", "slurm_node.yml"):
            outcome = super().run(request, *more)
        else:
            failures = [one for host in request.limit if (one := self.work(request, host))]
            bad = {one.host for one in failures}
            results = tuple((host, "some.module", {}) for host in request.limit if host not in bad)
            outcome = playbook.Outcome(0, PlayResults(results=results, failures=tuple(failures)))
        if self.happens(KILLS):
            raise SystemExit(9)
        return outcome

    def work(self, request: playbook.Request, host: str) -> Failure | None:
        """What a playbook does on a host; the failure, after which the host is as before, or nobody knows."""
        if request.playbook == "follow.yml":
            return Failure(host, "Work", "it broke") if self.happens(0.08) else None
        if request.playbook not in ("activate.yml", "give_back.yml"):
            return None
        assert host in self.drained, f"{request.playbook} on {host}, whose node is open"
        if self.happens(0.08):
            return Failure(host, "Work", "it broke")
        lost = self.happens(0.06)
        if not lost or self.happens(0.5):
            generation = NEW if request.playbook == "activate.yml" else OLD
            self.current |= {one: generation for one in HOSTS if self.root(one) == self.root(host)}
        return Failure(host, "Work", "it hangs", code=codes.HOST_HANGS) if lost else None

    def survey(self, names: Sequence[str] = HOSTS) -> Survey:
        """What these hosts say now. Of those of one stack root, the first one that answers works for all."""
        off = self.some(0.05) & {*names}
        well = [host for host in HOSTS if host in names and host not in off]
        first = {self.root(host): host for host in reversed(well)}
        plans = tuple(
            replace(planned("converged", host), current=self.current[host], former=self.current[host]) for host in well
        )
        plans = tuple(
            plan if plan.host in first.values() else replace(plan, share=Share(first[self.root(plan.host)]), steps=())
            for plan in plans
        )
        aside = tuple(replace(OFF, host=host, reason=f"{host}: off") for host in sorted(off))
        return Survey(plans, aside, {}, {host: host for host in HOSTS})


def until_it_ends(world: World, settings: Settings) -> FleetOutcome | None:
    """Begin a rollout, and continue it after each kill and error."""
    outcome = None
    for _command in range(20):
        try:
            with Journal.read(settings.journal) as journal:
                begun = journal.rollout() is not None
            if begun:
                outcome = command.resume((), settings, Output(as_json=True), lambda _: None)
            else:
                outcome = command.carry_out(world.survey(), Phase.FULL, settings, Output(as_json=True))
        except (SystemExit, ProvisionError):
            outcome = None
            with Journal.read(settings.journal) as journal:
                if journal.rollout() is not None and journal.unfinished() is None:
                    return None  # killed when everything was recorded
            continue
        named_if_not_returned(world, settings, outcome)
        if outcome.status not in UNFINISHED:
            break
    return outcome


def named_if_not_returned(world: World, settings: Settings, outcome: FleetOutcome) -> None:
    new = {host for host, generation in world.current.items() if generation == NEW}
    aside = {one.host for one in outcome.aside}
    if outcome.why and settings.on_failure == "rollback":
        kept = {world.root(host) for host in outcome.kept}
        assert {world.root(host) for host in new} <= kept, "a host has the new generation, and nobody says so"
    if outcome.status == Status.ROLLED_BACK:
        assert not new
    if outcome.status == Status.FINISHED:
        assert set(HOSTS) - new <= aside | {failure.host for failure in outcome.site.failures}
    if outcome.status in (Status.FINISHED, Status.ROLLED_BACK):
        assert set(world.drained) <= aside | outcome.drained.keys(), "a drain is left, and nobody says so"


@pytest.mark.parametrize("seed", [*range(19), 39])
def test_rollout_in_which_everything_fails_at_random_says_what_is_true(
    settings: Settings, fleet: object, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    world = World(chosen=random.Random(seed), pauses=settings.journal, roots=ROOTS if seed % 2 else {})
    monkeypatch.setattr(playbook, "run", world.run)
    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", lambda _, names, *__, **___: world.survey(names))
    monkeypatch.setattr("neuraltalk_provision.site.controller.is_dead", lambda _: True)
    on_failure, budget = world.chosen.choice(["stop", "rollback"]), world.chosen.choice([0, 1, 2])
    chosen = changed(settings, waves=[1, 3, "100%"], on_failure=on_failure, max_failures=budget)
    until_it_ends(world, chosen)
    world.calm = True
    assert command.carry_out(world.survey(), Phase.FULL, chosen, Output(as_json=True)).succeeded
    assert set(world.current.values()) == {NEW}
    assert world.drained == {}
