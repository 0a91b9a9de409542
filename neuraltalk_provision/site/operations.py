"""`provision verify`: runs one playbook and reads its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import whole_file
from neuraltalk_provision.errors import naming
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.base import plain
from neuraltalk_provision.results.checks import Check, Files, StackVerifyResult
from neuraltalk_provision.rules import activation as rules
from neuraltalk_provision.rules import checks as names
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, converge, host_results, host_state, playbook
from neuraltalk_provision.site.plan import HostPlan


@dataclass(frozen=True)
class Verdict:
    """The checks of `verify` on one host, and the files that were changed. Without checks it has not passed."""

    host: str
    checks: tuple[Check, ...]
    failure: str = ""
    files: Files = field(default_factory=Files)

    @property
    def passed(self) -> bool:
        """Whether there were checks and all of them passed."""
        return bool(self.checks) and not self.failure and all(check.passed for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The verdict as `--json` prints it."""
        return {**plain(self), "passed": self.passed}


def verify_hosts(settings: Settings, limit: Sequence[str], output: Output) -> tuple[Verdict, ...]:
    """A verdict for every host, from its state now; a host whose state cannot be read has failed."""
    listed = converge.open_mirror(settings)
    found = host_state.read_each(settings, catalogues.load(), limit)
    verdicts = [Verdict(failure.host, (), advice.explain(failure)) for failure in found.failures]
    if found.states:
        plans = converge.planner(settings, limit, found, listed, take_over=False)({})
        verdicts += verify(plans, settings, output)
    return tuple(sorted(verdicts, key=lambda verdict: verdict.host))


def verify(
    plans: Sequence[HostPlan], settings: Settings, output: Output, *, programs: bool = True
) -> tuple[Verdict, ...]:
    """A verdict for every host of the plans: the refusals of `provision site`, the current generation, its checks.

    Without `programs` nothing of the stack is run on the hosts: only its files are compared.
    """
    request = playbook.Request.of_site(
        settings,
        "verify.yml",
        [plan.host for plan in plans],
        {**converge.variables(plans, settings), "provision_programs": programs},
    )
    with output.working("verifying"):
        outcome = playbook.run(request)
    results = outcome.results.by_host("stack_verify")
    failures = {failure.host: advice.explain(failure) for failure in outcome.results.failures}
    verdicts = []
    for plan in plans:
        result = host_results.read(StackVerifyResult, results[plan.host]) if plan.host in results else _NO_CHECKS
        checks, files = ((), Files()) if isinstance(result, str) else (result.checks, result.files)
        wrong = result if isinstance(result, str) else _NO_CHECKS
        failure = "" if checks else failures.get(plan.host) or wrong
        if plan.unclear:  # then its recipe is one without GPU, which is not what the stack is built from
            checks = tuple(check for check in checks if check.name != names.STAMPS)
        # The current generation can have changed since the state was read: the result of the checks is newer.
        current = plan.current if isinstance(result, str) or not checks else PurePosixPath(result.generation).name
        verdicts.append(Verdict(plan.host, (*_planned(plan), *_generation(plan, current), *checks), failure, files))
    return tuple(verdicts)


_NO_CHECKS = "the host returned no checks"


def write_private(file: Path, text: str) -> None:
    """Write a text to a file that only its owner can read, whatever the umask and the file's mode before."""
    with naming(file, "written"):
        whole_file.write_named(file, text.encode("utf-8"), 0o600)


def _planned(plan: HostPlan) -> list[Check]:
    """A failed check for each refusal of `provision site`; without refusals, the evidence about the cards."""
    if plan.refusals:
        return [
            Check(name=names.PLAN, passed=False, saw=reason.removeprefix(f"{plan.host}: ")) for reason in plan.refusals
        ]
    return [Check(name=names.CARDS, passed=True, saw=plan.cards)] if plan.cards else []


def _generation(plan: HostPlan, current: str) -> list[Check]:
    """Whether the current generation is the one that the mirror and the settings describe; empty if that is unclear."""
    if plan.unclear:
        return []
    wanted = plan.recipe.id
    if current == wanted and not plan.unconfirmed:
        return [Check(name=names.GENERATION, passed=True, saw=f"generation {current} is current, as the recipe says")]
    found = rules.generation(current)
    if plan.unconfirmed and current == wanted:
        evidence = f"{found} is current, but its activation was not confirmed: run `provision site`"
        return [Check(name=names.GENERATION, passed=False, saw=evidence)]
    evidence = (
        f"{found} is current, but the mirror and the settings describe generation {wanted}: run `provision site`, or "
        "use the mirror and the settings from which the current generation was built"
    )
    return [Check(name=names.GENERATION, passed=False, saw=evidence)]
