"""What `provision site` did on a fleet, as data and as an error. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.fleet.records import UNFINISHED
from neuraltalk_provision.fleet.rollback_words import rollback_of
from neuraltalk_provision.fleet.survey import Aside
from neuraltalk_provision.fleet.survey import as_json as aside_as_json
from neuraltalk_provision.fleet.waves import Wave
from neuraltalk_provision.host_names import lines, named
from neuraltalk_provision.site import advice
from neuraltalk_provision.site.converge import SiteOutcome
from neuraltalk_provision.site.plan import HostPlan

STILL_DRAINED_ADVICE = (
    "`provision site` looks for these drains again on hosts that the inventory has. By hand: `scontrol update "
    "nodename=NODE state=resume`."
)


@dataclass(frozen=True)
class FleetOutcome:
    """`site` says what changed. `aside` are the hosts that were set aside, `returned` those that have their former
    generation again, `kept` those that were to return and may have the new one, `untouched` those to which the rollout
    did not come, `unstaged` those that failed before anything was activated for them. `drained` is {host: why} of the
    hosts whose nodes are, or may be, still drained by us. `status` is that of the journal, empty if nothing had to be
    done; `why` says why the rollout stopped. `lists` is {name: path} of the files with hosts.
    """

    site: SiteOutcome
    aside: tuple[Aside, ...] = ()
    returned: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    drained: Mapping[str, str] = field(default_factory=dict)
    untouched: tuple[str, ...] = ()
    unstaged: frozenset[str] = frozenset()
    waves: tuple[Wave, ...] = ()
    rollout: str = ""
    status: str = ""
    why: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether every host is as the command wanted it, or waits for a pause to end that somebody asked for."""
        return not (self.site.failures or self.aside or self.why or self.drained)

    def as_json(self) -> dict[str, Any]:
        """The outcome as `--json` prints it."""
        return {
            **self.site.as_json(),
            "set_aside": [aside_as_json(one) for one in self.aside],
            "returned": list(self.returned),
            "kept": list(self.kept),
            "drained": dict(self.drained),
            "untouched": list(self.untouched),
            "waves": [wave.as_json() for wave in self.waves],
            "rollout": {"id": self.rollout, "status": self.status, "why": self.why},
            "lists": dict(self.lists),
        }


def raise_failures(outcome: FleetOutcome, *, resumed: bool = False) -> None:
    """HostError that explains every host that failed or was set aside, and why the rollout stopped, if it did.

    `resumed`: the command was `--resume`, which does not continue a rollout that has come to its end.
    """
    if outcome.succeeded:
        return
    site = outcome.site
    told = lines((failure.host, advice.explain(failure)) for failure in site.failures)
    told += [f"set aside: {line}" for line in lines((one.host, one.reason) for one in outcome.aside)]
    told += lines((host, f"{host}: {why}") for host, why in sorted(outcome.drained.items()))
    told += [f"the rollout stopped: {outcome.why}"] if outcome.why else []
    raise HostError("\n".join(told), advice=" ".join(_next_steps(outcome, resumed)), document=outcome.as_json())


def _of_roots(plans: Sequence[HostPlan], hosts: Collection[str]) -> list[str]:
    """All hosts that share a stack root with one of these."""
    builders = {plan.host: plan.builder for plan in plans}
    roots = {builder for host, builder in builders.items() if host in hosts}
    return [host for host, builder in builders.items() if builder in roots]


def _next_steps(outcome: FleetOutcome, resumed: bool) -> list[str]:
    lost = {failure.host for failure in outcome.site.failures} - {*outcome.returned, *outcome.kept}
    sharing = sorted(
        plan.host
        for plan in outcome.site.plans
        if plan.host in lost and plan.share and plan.builder in outcome.site.activated
    )
    silent = {failure.host for failure in outcome.site.failures if failure.silent} & lost
    silent -= {*_of_roots(outcome.site.plans, outcome.unstaged)}
    tested = {plan.host for plan in outcome.site.plans if plan.share is None and not plan.changes} & lost
    silent -= tested
    failed = sorted(lost - silent - tested - set(sharing))
    steps = []
    if outcome.returned:
        steps.append(f"Their former generation is current again on {named(outcome.returned)}.")
    if outcome.kept:
        steps.append(
            f"{named(outcome.kept)} did not return, and the new generation may be current there: repair them, and "
            "`provision site --resume` returns them too."
        )
    if failed:
        steps.append(f"The generation that was current on {named(failed)} is still current and complete.")
    if tested:
        steps.append(
            f"Nothing was changed on {named(sorted(tested))}, where the current generation was only to be tested "
            f"again. `{rollback_of(_of_roots(outcome.site.plans, tested))}` makes the previous one current."
        )
    if silent:
        steps.append(
            f"Which generation is current on {named(sorted(silent))} is not known. A host that was lost during its "
            "activation, or could not undo it, returns to its former generation by itself (return_after)."
        )
    if sharing:
        steps.append(
            f"{named(sharing)}: the new generation is current for all names that share this stack root. "
            f"`{rollback_of(_of_roots(outcome.site.plans, sharing))}` makes the previous one current again."
        )
    done = outcome.site.activated
    if done and not (outcome.returned or outcome.kept):
        steps.append(f"{named(done)} {'has' if len(done) == 1 else 'have'} the new generation.")
    if outcome.drained:
        steps.append(STILL_DRAINED_ADVICE)
    if outcome.untouched:
        steps.append(f"Not begun: {named(outcome.untouched)}.")
    if not (outcome.site.failures or outcome.site.changes or done or outcome.returned):
        steps.append(advice.UNCHANGED)
    ended = resumed and outcome.status not in UNFINISHED
    again = "`provision site`, with the --limit that the rollout had" if ended else "the same command again"
    # A new rollout would give up the hosts that have not returned.
    if (outcome.site.failures or outcome.why) and not outcome.kept:
        steps.append(f"Run {again}; it continues at the component that failed.")
    if outcome.aside and not outcome.kept:
        leave_out = "" if resumed and not ended else ", or leave them out: --limit '!HOST'"
        steps.append(f"Repair the hosts that were set aside and run {again}{leave_out}.")
    if outcome.lists:
        files = ", ".join(outcome.lists.values())
        steps.append(f"Lists of hosts for --limit @FILE: {files}")
    return steps
