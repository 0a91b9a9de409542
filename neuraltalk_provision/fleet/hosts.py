"""What a rollout does on hosts, by playbooks: the real `rollout.Hosts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.fleet.rollout import Done, Loss
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, converge, playbook
from neuraltalk_provision.site.events import Change, Failure


@dataclass(frozen=True)
class Former:
    """What a host had before the rollout: its current generation, and the CUDA directory whose cuDNN is swapped."""

    generation: str = ""
    cuda: str = ""


class Playbooks:
    """Works on hosts with these variables, and collects the changes and failures of all steps."""

    def __init__(
        self,
        given: Mapping[str, Any],
        former: Mapping[str, Former],
        settings: Settings,
        output: Output,
        *,
        diff: bool = False,
    ) -> None:
        self._given = given
        self._former = former
        self._settings = settings
        self._output = output
        self._diff = diff
        self.changes: list[Change] = []
        self.failures: list[Failure] = []

    def stage(self, hosts: Sequence[str]) -> Done:
        """Build the new generation on these hosts, at the same time."""
        staged = converge.stage(hosts, self._given, self._settings, self._output, diff=self._diff)
        self.changes += staged.changes
        return self._done(staged.failures)

    def activate(self, hosts: Sequence[str]) -> Done:
        """Make the new generation current on these hosts, tested before and after."""
        return self._done(converge.activate(hosts, self._given, self._settings, self._output))

    def give_back(self, hosts: Sequence[str]) -> Done:
        """Return these hosts to their former generation and cuDNN."""
        names = ("provision_lease", "provision_stack_root")
        former = {host: self._former[host] for host in hosts}
        request = playbook.Request(
            playbook="give_back.yml",
            inventory=self._settings.inventory,
            limit=hosts,
            forks=self._settings.forks,
            variables={
                **{name: self._given[name] for name in names},
                "provision_former": {
                    host: {"generation": one.generation, "cuda": one.cuda} for host, one in former.items()
                },
            },
        )
        with self._output.working("returning to the former generation"):
            outcome = playbook.run(request)
        return self._done(converge.with_silent(hosts, outcome.results))

    def _done(self, failures: Iterable[Failure]) -> Done:
        listed = tuple(failures)
        self.failures += listed
        return Done(failed={one.host: Loss(advice.explain(one), one.code) for one in listed})
