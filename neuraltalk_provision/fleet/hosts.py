"""What a rollout does on hosts, by playbooks: the real `rollout.Hosts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from neuraltalk_provision.fleet.idle import Activation
from neuraltalk_provision.fleet.rollout import Done, Loss
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, build_once, codes, host_results, playbook, steps
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.plan import HostPlan


@dataclass(frozen=True)
class Former:
    """What a host had before the rollout: its current generation, and the CUDA directory whose cuDNN is swapped."""

    generation: str = ""
    cuda: str = ""


class Playbooks:
    """Works on hosts with these variables, and collects the changes and failures of all steps, and what stayed there.

    Of hosts that share a stack root, one builds and activates, and the others verify it.
    """

    def __init__(
        self,
        plans: Iterable[HostPlan],
        given: Mapping[str, Any],
        former: Mapping[str, Former],
        settings: Settings,
        output: Output,
        activation: Activation,
        *,
        returned: Iterable[str] = (),
        diff: bool = False,
    ) -> None:
        """`returned` are the hosts that an earlier command of the rollout returned."""
        self._plans = {plan.host: plan for plan in plans}
        self._given = given
        self._former = former
        self._settings = settings
        self._output = output
        self._activation = activation
        self._returned = set(returned)
        self._diff = diff
        self.changes: list[Change] = []
        self.failures: list[Failure] = []
        self.not_removed: dict[str, str] = {}

    def stage(self, hosts: Sequence[str]) -> Done:
        """Bring the new generation to these hosts: build it, or unpack what another host built."""
        plans = [self._plans[host] for host in hosts]
        failures = list(self._build([plan for plan in plans if plan.share is None]))
        failures += self._without_builder(plans, failures)
        failed = {failure.host for failure in failures}
        preparing = [plan.host for plan in plans if plan.prepares and plan.host not in failed]
        if preparing:
            prepared = steps.prepare(preparing, self._given, self._settings, self._output, diff=self._diff)
            self.changes += prepared.changes
            failures += prepared.failures
        return self._done(failures)

    def _build(self, plans: Sequence[HostPlan]) -> Iterable[Failure]:
        hosts = [plan.host for plan in plans]
        if not hosts:
            return ()
        if not self._settings.cache:
            staged = steps.stage(hosts, self._given, self._settings, self._output, diff=self._diff)
            self.changes += staged.changes
            return staged.failures

        def build(names: Sequence[str]) -> PlayResults:
            return steps.build(names, self._given, self._settings, self._output)

        others = [plan for plan in self._plans.values() if plan.host not in hosts]
        builders = self._settings.builders
        once = build_once.build_once(plans, self._given, self._settings, self._output, build, builders, others)
        self.changes += once.changes
        if self._diff:
            self._output.diffs(once.diffs)
        return once.failures

    def used(self, hosts: Sequence[str]) -> frozenset[str]:
        """Which of these hosts are in use. A host for which another one works counts as in use if that one is."""
        builders = {host: self._plans[host].builder for host in hosts}
        asked = [host for host in dict.fromkeys(builders.values()) if self._plans[host].disturbs]
        used = self._activation.used(asked)
        return frozenset(host for host, builder in builders.items() if builder in used)

    def activate(self, hosts: Sequence[str]) -> Done:
        """Make the new generation current on these hosts when nothing uses them, tested before and after.

        Where it is current already and was confirmed, it is only tested, which disturbs nobody.
        """
        plans = [self._plans[host] for host in hosts]
        used = [plan.host for plan in plans if plan.disturbs]
        again = [plan.host for plan in plans if plan.share is None and not plan.changes]
        bare = [plan.host for plan in plans if plan.share is None and plan.changes and not plan.disturbs]
        done = self._activate(bare, refuse_starts=False) if bare else Done()
        idle = Done()
        if used:
            idle = self._activation.run(used, lambda names: self._activate_and_follow(names, plans))
            done = Done({**done.failed, **idle.failed}, {**done.aside, **idle.aside}, done.left | idle.left)
        if again:
            tested = self._done(steps.follow(again, self._given, self._settings, self._output))
            done = replace(done, failed={**done.failed, **tested.failed})
        tried = set(used) - idle.aside.keys() - idle.left
        rest = [plan for plan in plans if plan.share and plan.builder not in tried]
        done = self._follow(rest, done)
        # An earlier rollout can have left the nodes of these drained, because the generation had failed on them.
        kept = {*again, *(one.host for one in rest if one.builder not in {*used, *bare})}
        if kept:
            broken = kept & done.failed.keys()
            self._activation.drains.lift(sorted(kept - broken), broken=sorted(broken))
        return replace(done, drained=idle.drained)

    def _activate_and_follow(self, hosts: Sequence[str], plans: Sequence[HostPlan]) -> Done:
        """Activate on hosts that are idle, and verify on those of `plans` that share a stack root with one of them."""
        done = self._activate(hosts, refuse_starts=True)
        return self._follow([plan for plan in plans if plan.share and plan.builder in hosts], done)

    def _activate(self, hosts: Sequence[str], *, refuse_starts: bool) -> Done:
        # It is hours since the hosts were asked, and a controller with another journal can have worked on them.
        plans = [self._plans[host] for host in hosts]
        expected = {plan.host: list(dict.fromkeys((plan.current, plan.former))) for plan in plans}
        given = {**self._given, "provision_refuse_starts": refuse_starts, "provision_expected": expected}
        activated = steps.activate(hosts, given, self._settings, self._output)
        self.not_removed |= activated.not_removed
        return self._done(activated.failures, asked_again=refuse_starts)

    def _follow(self, plans: Sequence[HostPlan], done: Done) -> Done:
        """Verify on these hosts, which share a stack root with one that was activated."""
        failed = {failure.host for failure in self.failures}  # perhaps before, when it should have built
        bad = done.failed.keys() | done.aside.keys() | done.left | failed
        follows = [plan.host for plan in plans if plan.builder not in bad]
        left = {plan.host for plan in plans if plan.builder in done.left}
        failures = list(self._without_builder(plans, self.failures))
        if follows:
            failures += steps.follow(follows, self._given, self._settings, self._output)
        more = self._done(failures)
        aside = {plan.host: done.aside[plan.builder] for plan in plans if plan.builder in done.aside}
        return Done({**done.failed, **more.failed}, {**done.aside, **aside}, done.left | left)

    @staticmethod
    def _without_builder(plans: Iterable[HostPlan], failures: Iterable[Failure]) -> list[Failure]:
        """A failure for each host for which another one works that has failed; nobody knows more of it than of that."""
        failed = {failure.host: failure for failure in failures}
        return [
            Failure(
                plan.host,
                "",
                f"{plan.builder}, which works for both in their stack root, has failed",
                not_undone=failed[plan.builder].silent,
            )
            for plan in plans
            if plan.builder in failed and plan.host not in failed
        ]

    def give_back(self, hosts: Sequence[str]) -> Done:
        """Return these hosts to their former generation and cuDNN when nothing uses them.

        One that shares a stack root returns with the host that works there for both. Nobody waits for a host in use
        after a request to pause: it keeps the new generation.
        """
        own = [host for host in hosts if self._plans[host].share is None]
        done = self._activation.run(own, self._give_back).with_left_aside()
        aside = {**done.aside}
        self._returned |= set(own) - done.failed.keys() - aside.keys()
        failures = []
        for host in hosts:
            builder = self._plans[host].builder
            if builder in aside:
                aside[host] = aside[builder]
            elif builder != host and builder not in self._returned:
                failures.append(Failure(host, "", f"{builder}, which works for both, has not returned"))
        return Done({**done.failed, **self._done(failures).failed}, aside)

    def _give_back(self, own: Sequence[str]) -> Done:
        names = ("provision_lease", "provision_stack_root", "provision_run_user", "provision_return_after")
        request = playbook.Request.of_site(
            self._settings,
            "give_back.yml",
            own,
            {
                **{name: self._given[name] for name in names},
                "provision_former": {host: asdict(self._former[host]) for host in own},
            },
        )
        with self._output.working("returning to the former generation"):
            outcome = playbook.run(request)
        return self._done(host_results.failures_of(outcome.results, own), asked_again=True)

    def _done(self, failures: Iterable[Failure], *, asked_again: bool = False) -> Done:
        """What failed. With `asked_again`, a host that something began to use is no failure: it is asked again."""
        listed = tuple(failures)
        self.failures += [one for one in listed if not (asked_again and one.code == codes.IN_USE)]
        return Done(failed=losses(listed))


def losses(failures: Iterable[Failure]) -> dict[str, Loss]:
    """{host: its failure in words}."""
    return {one.host: Loss(advice.explain(one), one.code, one.silent) for one in failures}
