"""`provision verify` and `provision rollback`: one playbook each, read back in our terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, playbook, question
from neuraltalk_provision.site.plan import HostPlan


@dataclass(frozen=True)
class Verdict:
    """What `verify` saw on one host. A verdict that saw nothing has not passed."""

    host: str
    checks: tuple[Mapping[str, Any], ...]
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether there were checks and all of them passed."""
        return bool(self.checks) and not self.failure and all(check["passed"] for check in self.checks)


@dataclass(frozen=True)
class Move:
    """What `rollback` did on one host."""

    host: str
    before: str
    after: str


def verify(plans: Sequence[HostPlan], settings: Settings, output: Output) -> tuple[Verdict, ...]:
    """A verdict for every host, from what runs there now."""
    request = playbook.Request(
        playbook="verify.yml",
        inventory=settings.inventory,
        variables=converge.variables(plans, settings),
        limit=[plan.host for plan in plans],
        forks=settings.forks,
    )
    with output.working("verifying"):
        outcome = playbook.run(request)
    results = outcome.told.result_of("stack_verify")
    failures = {failure.host: question.explain(failure) for failure in outcome.told.failures}
    verdicts = []
    for plan in plans:
        checks = tuple(results.get(plan.host, {}).get("checks", ()))
        told = "" if checks else failures.get(plan.host, "nothing was seen")
        verdicts.append(Verdict(plan.host, checks, told))
    return tuple(verdicts)


def rollback(settings: Settings, limit: Sequence[str], target: str, *, plan: bool) -> tuple[Move, ...]:
    """Go back on every host. Raises UsageError, before any is touched, where one has nothing to go back to."""
    states = question.ask(settings, catalogues.load(), limit).states
    moves = []
    for host, state in states.items():
        stack = state["stack"]
        after = target or stack["previous"] or ""
        whole = {name for name, generation in stack["generations"].items() if generation["sealed"]}
        if after not in whole:
            there = ", ".join(sorted(whole)) or "none"
            raise UsageError(
                f"{host}: there is no generation {after or 'before the current one'} to go back to; whole: {there}",
                advice="Nothing was changed on any host.",
            )
        moves.append(Move(host, stack["current"] or "", after))
    if not plan:
        request = playbook.Request(
            playbook="rollback.yml",
            inventory=settings.inventory,
            limit=[move.host for move in moves],
            forks=settings.forks,
            variables={"provision_stack_root": settings.stack_root, "provision_target": target},
        )
        failures = playbook.run(request).told.failures
        if failures:
            raise HostError("\n".join(question.explain(failure) for failure in failures))
    return tuple(moves)
